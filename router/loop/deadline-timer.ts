import type { Millis } from '../../core/time.ts';

/** The longest delay that setTimeout takes; longer ones fire early and are armed again. */
const LONGEST_DELAY: Millis = 2 ** 31 - 1;

/** The monotonic clock of this process. */
export function monotonicNow(): Millis {
  return performance.now();
}

/**
 * One operating-system timer for a machine's next deadline. Arming it for a later time than it is armed for costs
 * nothing: it fires early once and is armed again, so that a deadline which moves with every packet is cheap.
 */
export class DeadlineTimer {
  readonly #fire: () => void;
  #timer: NodeJS.Timeout | undefined;
  #armedFor = Number.POSITIVE_INFINITY;

  /** `fire` is called at or after the deadline and arms the timer anew. */
  constructor(fire: () => void) {
    this.#fire = fire;
  }

  arm(deadline: Millis | undefined): void {
    if (deadline === undefined || deadline >= this.#armedFor) return;
    clearTimeout(this.#timer);
    this.#armedFor = deadline;
    const delay = Math.min(LONGEST_DELAY, Math.max(0, Math.ceil(deadline - monotonicNow())));
    this.#timer = setTimeout(() => {
      this.#armedFor = Number.POSITIVE_INFINITY;
      this.#fire();
    }, delay);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#armedFor = Number.NEGATIVE_INFINITY;
  }
}
