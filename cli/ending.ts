import { BadValue } from './exit.ts';

/** The end of a daemon, which happens once however often it is asked for. */
export class Ending {
  #begun: { readonly clean: boolean; readonly done: Promise<string | undefined> } | undefined;

  /** Resolves, also for who comes later, once `work` has: with what went wrong in it. */
  begin(clean: boolean, work: () => Promise<string | undefined>): Promise<string | undefined> {
    this.#begun ??= { clean, done: work() };
    return this.#begun.done;
  }

  /** Throws {@link BadValue} if an end is under way that leaves what the daemon made. */
  refuseClean(): void {
    if (this.#begun === undefined || this.#begun.clean) return;
    throw new BadValue(
      'the daemon is stopping already, and leaves what it made: stop --clean again when it has ended',
    );
  }
}
