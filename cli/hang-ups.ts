/**
 * SIGHUP, from the start on: without a handler it would end the process. What comes before it can be obeyed is obeyed
 * once, as soon as it can be.
 */
export class HangUps {
  #act: (() => void) | undefined;
  #missed = false;

  constructor(signals: { on(signal: 'SIGHUP', listener: () => void): unknown }) {
    signals.on('SIGHUP', () => {
      if (this.#act === undefined) this.#missed = true;
      else this.#act();
    });
  }

  /** From now on `act` is done at each; must not throw. */
  obey(act: () => void): void {
    this.#act = act;
    if (this.#missed) act();
    this.#missed = false;
  }
}
