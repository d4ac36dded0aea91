import { toHex } from '../core/bytes.ts';
import { compareNames } from '../core/peer-name.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { Millis } from '../core/time.ts';
import { earlier, MINUTE, SECOND } from '../core/time.ts';
import type { IpamPeer } from './effects.ts';
import type { Owner, RingEntry } from './entries.ts';
import { REQUEST_ID_BYTES } from './messages.ts';
import type { Span } from './range.ts';
import { commonSpans, overlaps, spanSize, unionSpans } from './range.ts';
import type { Ring } from './ring.ts';
import { spansWhere } from './ring.ts';

/** Addresses that were taken over rest for this long, as their last users may still be alive. */
export const REST_AFTER_TAKE_OVER: Millis = 10 * MINUTE;
/** A peer that is out of reach is waited for this long. */
const PATIENCE: Millis = 10 * MINUTE;
const RESEND: Millis = 2 * SECOND;

/** One take-over, or one part of a large one, as it is stored. */
export interface TakeOver {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly victim: Owner;
  /** What it wrote. */
  readonly ring: RingEntry;
  /** Who has not acknowledged it yet; ascending by name. */
  readonly waiting: readonly Owner[];
  /** Only acknowledgements are waited for. */
  readonly now: boolean;
  /** Peers that are out of reach are waited for, however long. */
  readonly strict: boolean;
}

interface Underway {
  takeOver: TakeOver;
  /** Is it durable that it was begun? Nobody is told before, and nothing is over. */
  isRecorded: boolean;
  /** Of this run, if it was begun in one before: the rest begins anew then. */
  since: Millis;
  readonly spans: readonly Span[];
  /** Since when those that are waited for are out of reach. */
  readonly absentSince: Map<PeerName, Millis>;
  sentAt: Millis;
}

export interface TakeOverStatus {
  readonly from: PeerName;
  readonly addresses: number;
  readonly waitingFor: readonly PeerName[];
  readonly restSeconds: number;
  /** Who was waited for in vain. */
  readonly givenUp?: readonly PeerName[];
}

/** What is known at the moment. */
interface QuarantineView {
  readonly peers: ReadonlyMap<PeerName, IpamPeer>;
  readonly ring: Ring;
  /** This peer's spans. */
  readonly own: readonly Span[];
  /** Is what is to be stored of this take-over not durable yet? */
  readonly isQueued: (id: string) => boolean;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

/** What a step asks for. */
export interface QuarantineStep {
  readonly send: readonly { readonly to: readonly PeerName[]; readonly takeOver: TakeOver }[];
  /** To be stored as they are now, or deleted. */
  readonly changed: readonly { readonly id: string; readonly takeOver: TakeOver | undefined }[];
  /** Peers that are waited for no longer although they did not acknowledge. */
  readonly givenUp: readonly { readonly name: PeerName; readonly victim: PeerName }[];
}

/**
 * Space that was taken over and must not be given out yet: until every peer that was reachable has acknowledged the
 * take-over, so that none of them still gives out what the dead peer once donated, and until a rest is over.
 */
export class Quarantine {
  readonly #underway = new Map<string, Underway>();
  #spans: readonly Span[] = [];

  constructor(restored: readonly TakeOver[], now: Millis) {
    for (const takeOver of restored) this.#add(takeOver, true, now);
  }

  get isEmpty(): boolean {
    return this.#underway.size === 0;
  }

  /** All that is in quarantine: the same object as long as nothing changes. */
  get spans(): readonly Span[] {
    return this.#spans;
  }

  /** Begins one that is to be stored. */
  add(takeOver: TakeOver, now: Millis): void {
    this.#add(takeOver, false, now);
  }

  #add(takeOver: TakeOver, isRecorded: boolean, now: Millis): void {
    const spans = spansWhere(takeOver.ring.ring, () => true);
    const fresh = {
      takeOver,
      isRecorded,
      since: now,
      spans,
      absentSince: new Map<PeerName, Millis>(),
      sentAt: -Infinity,
    };
    this.#underway.set(takeOver.id, fresh);
    this.#onChange();
  }

  /** Everything taken over is forgotten, as this peer has left the cluster. Returns the ids. */
  clear(): string[] {
    const ids = [...this.#underway.keys()];
    this.#underway.clear();
    this.#onChange();
    return ids;
  }

  /** What could not be stored begins anew: `witnesses` = who has to acknowledge it at this moment. */
  beginAgain(witnesses: (takeOver: TakeOver) => readonly Owner[], now: Millis): TakeOver[] {
    const begun = [...this.#underway.values()].filter(({ isRecorded }) => !isRecorded);
    for (const underway of begun) {
      underway.takeOver = { ...underway.takeOver, waiting: witnesses(underway.takeOver) };
      underway.since = now;
    }
    return begun.map(({ takeOver }) => takeOver);
  }

  /** `from` holds it durably. Returns what is to be stored, if that changes anything. */
  onTaken(from: PeerName, id: string): TakeOver | undefined {
    const underway = this.#underway.get(id);
    if (underway?.takeOver.waiting.every(({ owner }) => owner !== from) !== false) return undefined;
    return this.#without(underway, new Set([from]));
  }

  step(view: QuarantineView, now: Millis): QuarantineStep {
    const out: Mutable<QuarantineStep> = { send: [], changed: [], givenUp: [] };
    for (const [id, underway] of this.#underway) {
      underway.isRecorded ||= !view.isQueued(id);
      if (underway.isRecorded) this.#stepOne(underway, view, now, out);
    }
    this.#end(view.own, now, out);
    return out;
  }

  nextTimeout(): Millis | undefined {
    let time: Millis | undefined;
    for (const { takeOver, isRecorded, since, absentSince, sentAt } of this.#underway.values()) {
      if (!isRecorded) continue;
      if (takeOver.waiting.length === 0) time = earlier(time, since + restOf(takeOver));
      if (takeOver.waiting.some(({ owner }) => !absentSince.has(owner)))
        time = earlier(time, sentAt + RESEND);
      if (takeOver.strict) continue;
      for (const at of absentSince.values()) time = earlier(time, at + PATIENCE);
    }
    return time;
  }

  /** One line per victim, ascending by name, about what is still this peer's (`own`). */
  status(own: readonly Span[], now: Millis): TakeOverStatus[] {
    const byVictim = new Map<PeerName, Underway[]>();
    for (const underway of this.#underway.values()) {
      const { owner } = underway.takeOver.victim;
      byVictim.set(owner, [...(byVictim.get(owner) ?? []), underway]);
    }
    return [...byVictim]
      .sort(([a], [b]) => compareNames(a, b))
      .map(([from, parts]) => ({
        from,
        addresses: spanSize(unionSpans(parts.flatMap(({ spans }) => commonSpans(spans, own)))),
        waitingFor: [
          ...new Set(parts.flatMap(({ takeOver }) => takeOver.waiting.map(({ owner }) => owner))),
        ].sort(compareNames),
        restSeconds: Math.max(
          ...parts.map(({ takeOver, since }) =>
            Math.max(0, Math.ceil((since + restOf(takeOver) - now) / SECOND)),
          ),
        ),
      }));
  }

  #stepOne(underway: Underway, view: QuarantineView, now: Millis, out: Mutable<QuarantineStep>): void {
    const { waiting, victim } = underway.takeOver;
    const verdicts = new Map(waiting.map((one) => [one.owner, verdictOf(underway, one, view, now)]));
    const ended = waiting.filter(({ owner }) => isEnd(verdicts.get(owner)!)).map(({ owner }) => owner);
    if (ended.length > 0) {
      out.changed.push({ id: underway.takeOver.id, takeOver: this.#without(underway, new Set(ended)) });
    }
    for (const [name, verdict] of verdicts) {
      if (verdict === 'given-up') out.givenUp.push({ name, victim: victim.owner });
    }
    const present = [...verdicts].filter(([, verdict]) => verdict === 'present');
    if (now < underway.sentAt + RESEND || present.length === 0) return;
    underway.sentAt = now;
    out.send.push({ to: present.map(([name]) => name), takeOver: underway.takeOver });
  }

  /** What is over, or of which nothing is this peer's any more. */
  #end(own: readonly Span[], now: Millis, out: Mutable<QuarantineStep>): void {
    for (const [id, { takeOver, isRecorded, since, spans }] of this.#underway) {
      const isOver = takeOver.waiting.length === 0 && now >= since + restOf(takeOver);
      if (!isRecorded || (!isOver && overlaps(spans, own))) continue;
      this.#underway.delete(id);
      out.changed.push({ id, takeOver: undefined });
      this.#onChange();
    }
  }

  #without(underway: Underway, names: ReadonlySet<PeerName>): TakeOver {
    const { takeOver } = underway;
    const waiting = takeOver.waiting.filter(({ owner }) => !names.has(owner));
    underway.takeOver = { ...takeOver, waiting };
    for (const name of names) underway.absentSince.delete(name);
    return underway.takeOver;
  }

  #onChange(): void {
    this.#spans = unionSpans([...this.#underway.values()].flatMap(({ spans }) => spans));
  }
}

export function newTakeOverId(random: RandomSource): string {
  return toHex(random.bytes(REQUEST_ID_BYTES));
}

type Verdict = 'present' | 'absent' | 'acknowledged' | 'given-up';

function isEnd(verdict: Verdict): boolean {
  return verdict === 'acknowledged' || verdict === 'given-up';
}

/** Whether one peer that is waited for is still to be waited for. */
function verdictOf(
  { takeOver, absentSince }: Underway,
  { owner, generation }: Owner,
  { peers, ring }: QuarantineView,
  now: Millis,
): Verdict {
  const peer = peers.get(owner);
  if (peer?.reachable === true && peer.generation !== '') {
    // It has to say so itself: what is known of its generation and cluster may be of an earlier life of it.
    absentSince.delete(owner);
    return 'present';
  }
  const since = absentSince.get(owner) ?? now;
  absentSince.set(owner, since);
  if (!takeOver.strict) return now >= since + PATIENCE ? 'given-up' : 'absent';
  const owns = ring.some((segment) => segment.owner === owner && segment.generation === generation);
  return owns ? 'absent' : 'acknowledged';
}

function restOf({ now }: TakeOver): Millis {
  return now ? 0 : REST_AFTER_TAKE_OVER;
}
