import { SECOND } from '../core/time.ts';
import type { Millis } from '../core/time.ts';
import type { DataReport } from './node-messages.ts';

/** How long the data plane has for its part; what it does not say is then left out. */
const PATIENCE: Millis = 2 * SECOND;
const MAX_WAITING = 64;

export interface StatusRequest {
  /** The asker's number. */
  readonly request: number;
  readonly kind: 'status' | 'report';
}

/** A request that can be answered now. */
export interface Answerable extends StatusRequest {
  readonly report: DataReport | undefined;
}

/** Requests for the node's state that wait for the data plane's part of it. */
export class StatusRequests {
  /** By the number under which the data plane was asked; in order of time. */
  readonly #waiting = new Map<number, StatusRequest & { readonly until: Millis }>();
  #lastNumber = 0;

  /** The number to ask the data plane under; undefined if too many wait already. */
  add(request: StatusRequest, now: Millis): number | undefined {
    if (this.#waiting.size >= MAX_WAITING) return undefined;
    this.#waiting.set(++this.#lastNumber, { ...request, until: now + PATIENCE });
    return this.#lastNumber;
  }

  /** Undefined if nobody waits for that report. */
  onReport(number: number, report: DataReport): Answerable | undefined {
    const waiting = this.#waiting.get(number);
    this.#waiting.delete(number);
    return waiting && { request: waiting.request, kind: waiting.kind, report };
  }

  nextTimeout(): Millis | undefined {
    for (const { until } of this.#waiting.values()) return until;
    return undefined;
  }

  /** Those that have waited long enough. */
  onTimeout(now: Millis): Answerable[] {
    const due = [...this.#waiting].filter(([, { until }]) => until <= now);
    return due.map(([number, { request, kind }]) => {
      this.#waiting.delete(number);
      return { request, kind, report: undefined };
    });
  }
}
