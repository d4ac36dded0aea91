import { compareNames, type PeerName } from '../core/peer-name.ts';
import { draw, type RandomSource } from '../core/random.ts';
import type { Millis } from '../core/time.ts';
import { BUCKETS, differingBuckets } from '../core/bucket-digest.ts';
import type { Channel } from './channel.ts';
import { equalBytes } from '../core/bytes.ts';
import { encodeMessage, type ChannelRoot, type Message } from './messages.ts';
import { messagesFor, NewsNumbers, Pending, PendingEncoder } from './pending.ts';
import { RecentlySeen } from './recently-seen.ts';

const ALL_BUCKETS = (1 << BUCKETS) - 1;

/** A neighbour as the channels see it. */
export interface ChannelNeighbour {
  readonly name: PeerName;
  /** False while its stream has much to write. */
  readonly isWritable: boolean;
  send(message: Uint8Array, now: Millis): void;
}

export type GossipMessage = Extract<
  Message,
  { type: 'gossip' | 'digest' | 'buckets' | 'want' | 'have' | 'ask' }
>;

type Have = Extract<Message, { type: 'have' }>;
type Ask = Extract<Message, { type: 'ask' }>;

/** Announcements and requests that are kept of a neighbour whose stream has much to write, and their bytes. */
const MAX_UNHEARD = 16;
const MAX_UNHEARD_BYTES = 512 * 1_024;

export interface ChannelsOptions {
  readonly random: RandomSource;
  /** The peers that `name` has established control connections with, by the topology. */
  readonly neighboursOf: (name: PeerName) => ReadonlySet<PeerName>;
}

/**
 * Spreads changes of all channels along the control connections and repairs what was missed by comparing digests.
 *
 * A delta goes to every neighbour but those that the neighbour it came from is connected to: that one, or the
 * originator, sends it to them. So a change costs about n messages in a full mesh, not n squared; where views
 * of the graph differ, the digests repair it. Of a channel with announcements, what is much is announced in place of
 * being sent, and who lacks it asks for it: each entry comes once, whoever tells of it.
 */
export class Channels {
  readonly #options: ChannelsOptions;
  readonly #channels = new Map<string, Channel>();
  readonly #neighbours = new Map<PeerName, ChannelNeighbour>();
  readonly #pending = new Map<PeerName, Pending>();
  /** What came from neighbours that could not take the answer. */
  readonly #unheard = new Map<PeerName, (Have | Ask)[]>();
  readonly #foreign = new RecentlySeen();
  readonly #numbers = new NewsNumbers();

  constructor(options: ChannelsOptions) {
    this.#options = options;
  }

  register(name: string, channel: Channel): void {
    this.#channels.set(name, channel);
  }

  /** Whether news wait for a neighbour that can take them. */
  get hasWork(): boolean {
    for (const [name, pending] of this.#pending) {
      const hasSome = !pending.isEmpty || this.#unheard.has(name);
      if (hasSome && this.#neighbours.get(name)!.isWritable) return true;
    }
    return false;
  }

  /**
   * A connection is established: both ends send the digest of everything and then the entries that differ. `mutual`:
   * the other end does so by itself.
   */
  addNeighbour(neighbour: ChannelNeighbour, mutual: boolean, now: Millis): void {
    // In place of another connection: what was asked for on that one does not come any more.
    if (this.#neighbours.has(neighbour.name)) this.removeNeighbour(neighbour.name);
    this.#neighbours.set(neighbour.name, neighbour);
    this.#pending.set(neighbour.name, new Pending(this.#numbers));
    for (const name of this.#sortedChannels()) this.#sendBuckets(neighbour, name, mutual, now);
  }

  removeNeighbour(name: PeerName): void {
    this.#neighbours.delete(name);
    this.#pending.delete(name);
    this.#unheard.delete(name);
    this.#passedOn(name);
    for (const channel of this.#channels.values()) channel.lost?.(name);
  }

  /** Queues news of ours, or such as came from neighbour `from`, for the next {@link flush}. */
  publish(name: string, news: unknown, from?: PeerName): void {
    const numbered = this.#numbers.number(news);
    const served = from === undefined ? undefined : this.#options.neighboursOf(from);
    for (const [neighbour, pending] of this.#pending) {
      if (neighbour === from || served?.has(neighbour)) continue;
      pending.add(name, this.#channels.get(name), numbered);
    }
  }

  /** Sends what is pending to all neighbours that can take it. */
  flush(now: Millis): void {
    const encoder = new PendingEncoder();
    for (const peer of [...this.#pending.keys()].sort(compareNames)) {
      const neighbour = this.#neighbours.get(peer)!;
      if (!neighbour.isWritable) continue;
      this.#hear(neighbour, now);
      for (const [name, waiting] of this.#pending.get(peer)!.take()) {
        for (const message of encoder.encode(name, this.#channels.get(name), waiting, peer)) {
          neighbour.send(message, now);
        }
      }
      this.#passedOn(peer);
    }
    this.#numbers.flush();
  }

  /** Compares digests with min(2 log2 n, degree) neighbours; `peers` = n. */
  startRepair(peers: number, now: Millis): void {
    const chosen = this.#choose(Math.ceil(2 * Math.log2(Math.max(2, peers))));
    if (chosen.length === 0) return;
    const roots: ChannelRoot[] = this.#sortedChannels().map((channel) => ({
      channel,
      root: this.#channels.get(channel)!.digest().root,
    }));
    const message = encodeMessage({ type: 'digest', roots });
    for (const neighbour of chosen) if (neighbour.isWritable) neighbour.send(message, now);
  }

  /** A message from neighbour `from`. Throws MalformedDelta if a channel refuses its content. */
  onMessage(from: PeerName, message: GossipMessage, now: Millis): void {
    switch (message.type) {
      case 'gossip':
        return this.#onGossip(from, message.channel, message.delta, now);
      case 'digest':
        for (const root of message.roots) this.#onRoot(from, root, now);
        return;
      case 'buckets':
        return this.#onBuckets(from, message, now);
      case 'want':
        return this.#sendEntries(from, message.channel, message.buckets, now);
      case 'have':
      case 'ask':
        return this.#onHaveOrAsk(from, message, now);
    }
  }

  /** Asks other neighbours for what was announced and not sent in time. */
  askAgain(now: Millis): void {
    for (const [name, channel] of this.#channels) {
      for (const [to, request] of channel.overdue?.(now) ?? []) this.#ask(to as PeerName, name, request, now);
    }
  }

  #onGossip(from: PeerName, name: string, delta: Uint8Array, now: Millis): void {
    const channel = this.#channels.get(name);
    const news = channel === undefined ? this.#relayed(name, delta, now) : channel.merge(delta, now, from);
    if (news !== undefined) this.publish(name, news, from);
  }

  #onHaveOrAsk(from: PeerName, message: Have | Ask, now: Millis): void {
    const neighbour = this.#neighbours.get(from);
    if (neighbour === undefined) return;
    if (!neighbour.isWritable) this.#hearLater(from, message);
    else if (message.type === 'have') this.#onHave(neighbour, message, now);
    else this.#onAsk(neighbour, message, now);
  }

  #onHave(neighbour: ChannelNeighbour, { channel, announcement }: Have, now: Millis): void {
    const request = this.#channels.get(channel)?.lacked?.(announcement, now, neighbour.name);
    if (request !== undefined) this.#ask(neighbour.name, channel, request, now);
  }

  #onAsk(neighbour: ChannelNeighbour, { channel, request }: Ask, now: Millis): void {
    for (const delta of this.#channels.get(channel)?.answer?.(request) ?? []) {
      neighbour.send(encodeMessage({ type: 'gossip', channel, delta }), now);
    }
  }

  /** A neighbour that cannot take it is taken for one that does not answer. */
  #ask(to: PeerName, channel: string, request: Uint8Array, now: Millis): void {
    const neighbour = this.#neighbours.get(to);
    if (neighbour?.isWritable) neighbour.send(encodeMessage({ type: 'ask', channel, request }), now);
  }

  /** Of a neighbour that asks and does not read the oldest go. */
  #hearLater(from: PeerName, message: Have | Ask): void {
    const waiting = this.#unheard.get(from) ?? [];
    waiting.push(copyOf(message));
    let bytes = waiting.reduce((sum, each) => sum + bytesOf(each), 0);
    while (waiting.length > MAX_UNHEARD || bytes > MAX_UNHEARD_BYTES) bytes -= bytesOf(waiting.shift()!);
    this.#unheard.set(from, waiting);
  }

  #hear(neighbour: ChannelNeighbour, now: Millis): void {
    const waiting = this.#unheard.get(neighbour.name) ?? [];
    this.#unheard.delete(neighbour.name);
    for (const message of waiting) this.#onHaveOrAsk(neighbour.name, message, now);
  }

  /** A copy of a delta that we cannot merge but have not passed on yet. */
  #relayed(name: string, delta: Uint8Array, now: Millis): Uint8Array | undefined {
    return this.#foreign.isNew(name, delta, now) ? Uint8Array.from(delta) : undefined;
  }

  #passedOn(to: PeerName): void {
    for (const channel of this.#channels.values()) channel.passedOn?.(to);
  }

  #onRoot(from: PeerName, { channel: name, root }: ChannelRoot, now: Millis): void {
    const channel = this.#channels.get(name);
    const neighbour = this.#neighbours.get(from);
    if (channel === undefined || neighbour === undefined || equalBytes(channel.digest().root, root)) return;
    this.#sendBuckets(neighbour, name, false, now);
  }

  #onBuckets(from: PeerName, message: Extract<GossipMessage, { type: 'buckets' }>, now: Millis): void {
    const channel = this.#channels.get(message.channel);
    const neighbour = this.#neighbours.get(from);
    if (channel === undefined || neighbour === undefined) return;
    const differing = differingBuckets(channel.digest().buckets, message.buckets);
    if (differing === 0) return;
    this.#sendEntries(from, message.channel, differing, now);
    if (message.mutual || !neighbour.isWritable) return;
    neighbour.send(encodeMessage({ type: 'want', channel: message.channel, buckets: differing }), now);
  }

  #sendBuckets(neighbour: ChannelNeighbour, name: string, mutual: boolean, now: Millis): void {
    if (!neighbour.isWritable) return;
    const { buckets } = this.#channels.get(name)!.digest();
    neighbour.send(encodeMessage({ type: 'buckets', channel: name, buckets, mutual }), now);
  }

  /** Sends or announces the entries of the buckets in `mask`, in as many messages as they need. */
  #sendEntries(to: PeerName, name: string, mask: number, now: Millis): void {
    const neighbour = this.#neighbours.get(to);
    const channel = this.#channels.get(name);
    const entries = channel?.entriesOf(mask & ALL_BUCKETS);
    if (channel === undefined || entries === undefined || !neighbour?.isWritable) return;
    const messages = messagesFor(name, channel, entries);
    for (const message of messages) neighbour.send(message, now);
    if (messages.length > 0 || (mask & (mask - 1)) === 0) return;
    // Too much for one message, and the channel cannot part it: bucket by bucket, then.
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      if (mask & (1 << bucket)) this.#sendEntries(to, name, 1 << bucket, now);
    }
  }

  #choose(count: number): ChannelNeighbour[] {
    const names = [...this.#neighbours.keys()].sort(compareNames);
    return draw(names, count, this.#options.random).map((name) => this.#neighbours.get(name)!);
  }

  #sortedChannels(): string[] {
    return [...this.#channels.keys()].sort();
  }
}

function bytesOf(message: Have | Ask): number {
  return (message.type === 'have' ? message.announcement : message.request).length;
}

/** Not a view of what was received. */
function copyOf(message: Have | Ask): Have | Ask {
  return message.type === 'have'
    ? { ...message, announcement: Uint8Array.from(message.announcement) }
    : { ...message, request: Uint8Array.from(message.request) };
}
