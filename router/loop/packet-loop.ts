import type { Millis } from '../../core/time.ts';
import { DeadlineTimer, monotonicNow } from './deadline-timer.ts';

/** The machine of a thread that moves packets. */
export interface PacketMachine {
  /** True if there may be more. */
  onReady(now: Millis): boolean;
  nextTimeout(): Millis | undefined;
  onTimeout(now: Millis): void;
}

/** Turns of the event loop of such a thread: packets, then whatever the machine wants said, then its next deadline. */
export class PacketLoop {
  readonly #machine: PacketMachine;
  readonly #say: () => void;
  readonly #timer: DeadlineTimer;
  #turnIsDue = false;

  /** `say` passes on what the machine wants said. */
  constructor(machine: PacketMachine, say: () => void) {
    this.#machine = machine;
    this.#say = say;
    this.#timer = new DeadlineTimer(() => {
      machine.onTimeout(monotonicNow());
      this.pump();
    });
  }

  /** The engine has something. Its descriptors are level-triggered and call again at every turn: one of ours is enough. */
  onReady(): void {
    if (this.#turnIsDue) return;
    if (this.#machine.onReady(monotonicNow())) {
      this.#turnIsDue = true;
      setImmediate(() => {
        this.#turnIsDue = false;
        this.onReady();
      });
    }
    this.pump();
  }

  /** After every other input. */
  pump(): void {
    this.#say();
    this.#timer.arm(this.#machine.nextTimeout());
  }

  stop(): void {
    this.#timer.stop();
  }
}
