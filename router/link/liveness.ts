import { equalBytes } from '../../core/bytes.ts';
import { SECOND, earlier, nextBeat, type Millis } from '../../core/time.ts';
import type { PathQuality } from './path-quality.ts';

/** A heartbeat that is unanswered for so long makes the next ones come faster. */
export const OVERDUE_AFTER: Millis = 1 * SECOND;
export const LOST_AFTER: Millis = 4 * SECOND;
/** The peer has lost its path already. */
export const LOST_AFTER_IN_DOUBT: Millis = 2 * SECOND;
export const INTERVAL_OVERDUE: Millis = 0.5 * SECOND;
export const INTERVAL_SENDING: Millis = 2 * SECOND;
export const INTERVAL_IDLE: Millis = 10 * SECOND;
/** So many padded heartbeats that fail while small ones pass make a black hole. */
const BLACK_HOLE_MISSES = 3;

interface Heartbeat {
  readonly token: Uint8Array;
  readonly sentAt: Millis;
  readonly padded: boolean;
  /** A small one sent with it or later was answered: the path lives, only the size is in doubt. */
  excused: boolean;
}

/**
 * The heartbeats of one path in use: when the next is due, and when the path is lost.
 * What we hear does not count, because one-way cuts exist; only answers do.
 */
export class Liveness {
  readonly #quality: PathQuality;
  #lastSent: Millis;
  #sentData = false;
  #urgent = false;
  #doubted = false;
  #open: Heartbeat[] = [];

  /** `now`: when an answer last showed that the path works. */
  constructor(quality: PathQuality, now: Millis) {
    this.#quality = quality;
    this.#lastSent = now;
  }

  /** Something else than heartbeats was sent; true if that brings the next heartbeat forward. */
  onDataSent(): boolean {
    if (this.#sentData) return false;
    this.#sentData = true;
    return true;
  }

  /** While urgent, heartbeats go every 0.5 s whether answered or not. */
  setUrgent(urgent: boolean): void {
    this.#urgent = urgent;
  }

  /** Something speaks against the path: until an answer comes heartbeats go every 0.5 s, and fewer may be missed. */
  onDoubt(): void {
    this.#doubted = true;
  }

  dueAt(): Millis {
    if (this.#urgent || this.#doubted) return this.#lastSent + INTERVAL_OVERDUE;
    const regular = this.#sentData
      ? this.#lastSent + INTERVAL_SENDING
      : nextBeat(this.#lastSent, INTERVAL_IDLE);
    const oldest = this.#open[0];
    if (oldest === undefined) return regular;
    const hurried = Math.max(this.#lastSent + INTERVAL_OVERDUE, oldest.sentAt + OVERDUE_AFTER);
    return Math.min(regular, hurried);
  }

  /** When the path is lost unless an answer comes before. */
  lostAt(): Millis | undefined {
    const oldest = this.#open.find((heartbeat) => !heartbeat.excused);
    return oldest && oldest.sentAt + (this.#doubted ? LOST_AFTER_IN_DOUBT : LOST_AFTER);
  }

  nextTimeout(): Millis {
    return earlier(this.dueAt(), this.lostAt())!;
  }

  /** Whether an unpadded heartbeat should go with the next padded one. */
  paddedOverdue(now: Millis): boolean {
    return this.#open.some((heartbeat) => heartbeat.padded && heartbeat.sentAt + OVERDUE_AFTER <= now);
  }

  onSent(token: Uint8Array, padded: boolean, now: Millis): void {
    this.#open.push({ token, sentAt: now, padded, excused: false });
    this.#lastSent = now;
    this.#sentData = false;
  }

  /** False if no such heartbeat is open. An answer also clears what is older; a small one leaves the sizes in doubt. */
  onAck(token: Uint8Array, now: Millis): boolean {
    const acked = this.#open.find((heartbeat) => equalBytes(heartbeat.token, token));
    if (acked === undefined) return false;
    this.#doubted = false;
    this.#quality.onAnswered(now - acked.sentAt);
    this.#open = this.#open.filter((heartbeat) => this.#staysOpen(heartbeat, acked));
    return true;
  }

  /** True once padded heartbeats fail while small ones pass. */
  blackHole(now: Millis): boolean {
    const missed = this.#open.filter(({ excused, sentAt }) => excused && sentAt + OVERDUE_AFTER <= now);
    return missed.length >= BLACK_HOLE_MISSES;
  }

  /** The padded size was lowered: forget what was sent in the old one. */
  forgetPadded(): void {
    this.#open = this.#open.filter((heartbeat) => !heartbeat.padded);
  }

  #staysOpen(heartbeat: Heartbeat, acked: Heartbeat): boolean {
    if (heartbeat === acked) return false;
    if (heartbeat.sentAt > acked.sentAt) return true;
    if (acked.padded || !heartbeat.padded) {
      if (heartbeat.padded) this.#quality.onLost();
      return false;
    }
    heartbeat.excused = true;
    return true;
  }
}
