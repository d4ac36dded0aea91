import type { Channel } from './channel.ts';
import { encodeMessage, MAX_DELTA } from './messages.ts';

/** How many news wait for one neighbour before they are joined. */
const JOIN_ABOVE = 16;
/** Where so many channels have news pending, those of a further one that we do not run are dropped. */
const MAX_CHANNELS = 32;
/** What waits for one neighbour of channels that we do not run: two of the largest deltas. */
const MAX_FOREIGN_BYTES = 2_000_000;

/** News of a channel, numbered so that neighbours for whom the same wait share one encoding. */
export interface NumberedNews {
  readonly id: number;
  /** What the channel gave; the delta itself of a channel that we do not run. */
  readonly news: unknown;
}

/** Gives news their numbers, none of them twice. */
export class NewsNumbers {
  #last = 0;
  readonly #joined = new Map<string, NumberedNews>();

  number(news: unknown): NumberedNews {
    return { id: ++this.#last, news };
  }

  /** Has the effect of all of `waiting`; the same ones are joined once, for all neighbours for whom they wait. */
  join(name: string, channel: Channel, waiting: readonly NumberedNews[]): NumberedNews {
    const key = keyOf(name, waiting);
    let joined = this.#joined.get(key);
    if (joined === undefined) this.#joined.set(key, (joined = this.number(joinAll(channel, waiting))));
    return joined;
  }

  /** What is joined from now on is joined anew. */
  flush(): void {
    this.#joined.clear();
  }
}

function keyOf(name: string, waiting: readonly NumberedNews[]): string {
  return `${name} ${waiting.map(({ id }) => id).join()}`;
}

/**
 * What is to go to one neighbour, by channel. A slow neighbour's news are joined, so that what waits is bounded by
 * the size of the state and not by traffic; a channel that we do not run cannot be joined and loses its oldest.
 */
export class Pending {
  readonly #numbers: NewsNumbers;
  readonly #byChannel = new Map<string, NumberedNews[]>();
  /** Of channels that we do not run. */
  #foreignBytes = 0;

  constructor(numbers: NewsNumbers) {
    this.#numbers = numbers;
  }

  get isEmpty(): boolean {
    return this.#byChannel.size === 0;
  }

  add(name: string, channel: Channel | undefined, news: NumberedNews): void {
    const waiting = this.#byChannel.get(name) ?? [];
    if (channel === undefined && waiting.length === 0 && this.#byChannel.size >= MAX_CHANNELS) return;
    this.#byChannel.set(name, waiting);
    waiting.push(news);
    if (channel === undefined) this.#boundForeign(waiting, news);
    else if (waiting.length > JOIN_ABOVE)
      this.#byChannel.set(name, [this.#numbers.join(name, channel, waiting)]);
  }

  /** The oldest of the channel go, and where it has no other, the new one: those of another channel are not its price. */
  #boundForeign(waiting: NumberedNews[], added: NumberedNews): void {
    this.#foreignBytes += bytesOf(added);
    while (waiting.length > 0 && (waiting.length > JOIN_ABOVE || this.#foreignBytes > MAX_FOREIGN_BYTES)) {
      this.#foreignBytes -= bytesOf(waiting.shift()!);
    }
  }

  /** Everything that waits, channels in order of name; nothing waits afterwards. */
  take(): [string, readonly NumberedNews[]][] {
    if (this.#byChannel.size === 0) return [];
    this.#foreignBytes = 0;
    const all = [...this.#byChannel].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#byChannel.clear();
    return all;
  }
}

function bytesOf({ news }: NumberedNews): number {
  return (news as Uint8Array).length;
}

/** Encodes what is pending as messages, once for all neighbours that wait for the same and have nothing of it yet. */
export class PendingEncoder {
  readonly #memo = new Map<string, readonly Uint8Array[]>();

  /** Gossip messages that carry to neighbour `to` what it lacks of `waiting`. */
  encode(
    name: string,
    channel: Channel | undefined,
    waiting: readonly NumberedNews[],
    to: string,
  ): readonly Uint8Array[] {
    const lacked = lackedBy(to, channel, waiting);
    if (lacked !== waiting) return messagesOf(name, channel, lacked);
    const key = keyOf(name, waiting);
    const known = this.#memo.get(key);
    if (known !== undefined) return known;
    const messages = messagesOf(name, channel, waiting);
    this.#memo.set(key, messages);
    return messages;
  }
}

function lackedBy(
  to: string,
  channel: Channel | undefined,
  waiting: readonly NumberedNews[],
): readonly NumberedNews[] {
  if (channel?.lackedBy === undefined) return waiting;
  const lacked = waiting.map((each) => {
    const news = channel.lackedBy!(to, each.news);
    return news === each.news ? each : { ...each, news };
  });
  return lacked.every((each, i) => each === waiting[i]) ? waiting : lacked;
}

function messagesOf(
  name: string,
  channel: Channel | undefined,
  waiting: readonly NumberedNews[],
): readonly Uint8Array[] {
  if (channel === undefined) return foreignDeltas(waiting).map((delta) => gossip(name, delta));
  const joined = messagesFor(name, channel, joinAll(channel, waiting));
  if (joined.length > 0 || waiting.length === 1) return joined;
  return waiting.flatMap(({ news }) => messagesFor(name, channel, news));
}

/**
 * What tells a neighbour of `news`: they are announced, or go as their delta; nothing if they are void, or too long for a
 * message.
 */
export function messagesFor(name: string, channel: Channel, news: unknown): readonly Uint8Array[] {
  const announcement = channel.announcement?.(news);
  if (announcement !== undefined) return [encodeMessage({ type: 'have', channel: name, announcement })];
  const delta = channel.encode(news);
  return delta === undefined || delta.length > MAX_DELTA ? [] : [gossip(name, delta)];
}

function gossip(channel: string, delta: Uint8Array): Uint8Array {
  return encodeMessage({ type: 'gossip', channel, delta });
}

function joinAll(channel: Channel, waiting: readonly NumberedNews[]): unknown {
  return waiting.length === 1 ? waiting[0]!.news : channel.join(waiting.map(({ news }) => news));
}

function foreignDeltas(waiting: readonly NumberedNews[]): readonly Uint8Array[] {
  return waiting.map(({ news }) => news as Uint8Array).filter((delta) => delta.length <= MAX_DELTA);
}
