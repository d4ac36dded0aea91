import { equalBytes } from '../../core/bytes.ts';
import { SECOND, type Millis } from '../../core/time.ts';

/** An answer later than this counts as none. */
const PROBE_LIFETIME: Millis = 4 * SECOND;
const MOST_OPEN = 16;

interface Probe {
  readonly token: Uint8Array;
  readonly size: number;
  readonly round: number;
  readonly sentAt: Millis;
}

export interface AnsweredProbe {
  /** UDP payload bytes that arrived. */
  readonly size: number;
  readonly rtt: Millis;
}

/** The probes of one path: rounds of one or more sizes each, and how many rounds in a row were answered. */
export class Prober {
  #round = 0;
  #nextRoundAt: Millis;
  #open: Probe[] = [];
  #answeredRound = -1;
  #inRow = 0;

  constructor(now: Millis) {
    this.#nextRoundAt = now;
  }

  /** Rounds in a row that were answered, the last one before the round that is open among them. */
  get answersInRow(): number {
    return this.#answeredRound >= this.#round - 1 ? this.#inRow : 0;
  }

  nextRoundAt(): Millis {
    return this.#nextRoundAt;
  }

  /** Begins afresh, as if nothing had been answered. */
  restart(now: Millis): void {
    this.#nextRoundAt = now;
    this.#open = [];
    this.#answeredRound = -1;
    this.#inRow = 0;
  }

  /** The next round begins; the one after it is due after `interval`. */
  beginRound(interval: Millis, now: Millis): void {
    this.#round++;
    this.#nextRoundAt = now + interval;
    this.#open = this.#open.filter((probe) => now < probe.sentAt + PROBE_LIFETIME);
  }

  /** The next round comes no later than `at`. */
  hasten(at: Millis): void {
    this.#nextRoundAt = Math.min(this.#nextRoundAt, at);
  }

  onSent(token: Uint8Array, size: number, now: Millis): void {
    if (this.#open.length === MOST_OPEN) this.#open.shift();
    this.#open.push({ token, size, round: this.#round, sentAt: now });
  }

  /** Undefined if no such probe is open. */
  onAck(token: Uint8Array, now: Millis): AnsweredProbe | undefined {
    const at = this.#open.findIndex((open) => equalBytes(open.token, token));
    if (at < 0) return undefined;
    const probe = this.#open.splice(at, 1)[0]!;
    if (now >= probe.sentAt + PROBE_LIFETIME) return undefined;
    if (probe.round > this.#answeredRound) {
      this.#inRow = probe.round === this.#answeredRound + 1 ? this.#inRow + 1 : 1;
      this.#answeredRound = probe.round;
    }
    return { size: probe.size, rtt: now - probe.sentAt };
  }
}
