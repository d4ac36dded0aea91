import { toHex } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { earlier, MINUTE, SECOND } from '../core/time.ts';
import { isServed } from './take-overs.ts';
import type { Denial } from './messages.ts';
import { REQUEST_ID_BYTES } from './messages.ts';
import type { IpamPorts } from './ports.ts';
import type { Span } from './range.ts';
import type { Segment } from './ring.ts';
import { valueAt } from './ring.ts';

/** An owner that said no is asked again after this long, or when the ring has changed there. */
const AGAIN: Millis = 1 * MINUTE;
/** One that did not answer is asked again after this long, so many times; one that said "later" however often. */
const RESEND: Millis = 2 * SECOND;
const QUICK_TRIES = 5;

interface Claim {
  readonly id: string;
  readonly to: PeerName;
  readonly tries: number;
  again: Millis;
}

/**
 * Asks the present owners for addresses that are handed out here and belong to them now, until they are this peer's
 * again or released. Whoever holds such an address keeps using it meanwhile.
 */
export class ClaimBack {
  readonly #ports: IpamPorts;
  #claims = new Map<string, Claim>();

  constructor(ports: IpamPorts) {
    this.#ports = ports;
  }

  step(now: Millis): void {
    const { holdings, peers } = this.#ports;
    const lost = holdings.lost();
    if (lost.length === 0 && this.#claims.size === 0) return;
    const known = new Map(peers().map((peer) => [peer.name, peer]));
    const before = this.#claims;
    this.#claims = new Map();
    for (const { span, value } of this.#pieces(lost)) {
      if (!isServed(value, known.get(value.owner), holdings.clusterId)) continue;
      const { epoch, version, owner, generation } = value;
      const key = `${span.start}-${span.end} ${epoch}.${version} ${owner} ${generation}`;
      this.#claims.set(key, this.#ask(before.get(key), span, owner, now));
    }
  }

  /** The owner said no, or that it cannot decide yet. */
  onDenied(from: PeerName, id: string, reason: Denial, now: Millis): void {
    for (const claim of this.#claims.values()) {
      if (claim.to === from && claim.id === id) claim.again = now + (reason === 'later' ? RESEND : AGAIN);
    }
  }

  nextTimeout(): Millis | undefined {
    let time: Millis | undefined;
    for (const { again } of this.#claims.values()) time = earlier(time, again);
    return time;
  }

  #ask(before: Claim | undefined, span: Span, to: PeerName, now: Millis): Claim {
    if (before !== undefined && now < before.again) return before;
    const { holdings, random, send } = this.#ports;
    const id = toHex(random.bytes(REQUEST_ID_BYTES));
    const tries = (before?.tries ?? 0) + 1;
    const { clusterId, self } = holdings;
    const { generation } = self;
    send(to, { type: 'space-request', id, clusterId: clusterId!, generation, span, want: 'back' });
    return { id, to, tries, again: now + (tries < QUICK_TRIES ? RESEND : AGAIN) };
  }

  /** Runs of lost addresses with one value each. */
  #pieces(lost: readonly number[]): { span: Span; value: Segment }[] {
    const pieces: { span: { start: number; end: number }; value: Segment }[] = [];
    for (const offset of lost) {
      const last = pieces.at(-1);
      if (last !== undefined && last.span.end === offset && offset < last.value.end) {
        last.span.end++;
        continue;
      }
      const value = valueAt(this.#ports.holdings.ring, offset);
      if (value !== undefined) pieces.push({ span: { start: offset, end: offset + 1 }, value });
    }
    return pieces;
  }
}
