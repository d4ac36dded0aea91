import { SECOND, type Millis } from '../../core/time.ts';

const RISE_AFTER: Millis = 10 * SECOND;

/** "Direct" as the topology publishes it: falls at once, rises when it has been true for 10 s, so that routes keep calm. */
export class DirectFlag {
  #value = false;
  #risesAt: Millis | undefined;

  get value(): boolean {
    return this.#value;
  }

  /** When {@link update} would raise it. */
  nextTimeout(): Millis | undefined {
    return this.#risesAt;
  }

  update(direct: boolean, now: Millis): void {
    if (!direct) {
      this.#value = false;
      this.#risesAt = undefined;
    } else if (!this.#value) {
      this.#risesAt ??= now + RISE_AFTER;
      if (this.#risesAt > now) return;
      this.#value = true;
      this.#risesAt = undefined;
    }
  }
}
