/** Hands out the small integers by which the engine knows sessions and paths: dense, from 1, lowest free first. */
export class Numbers {
  #next = 1;
  readonly #free: number[] = [];

  take(): number {
    return this.#free.pop() ?? this.#next++;
  }

  /** `number` came from {@link take} and the engine has forgotten it. */
  release(number: number): void {
    const at = this.#free.findIndex((free) => free < number);
    this.#free.splice(at < 0 ? this.#free.length : at, 0, number);
  }
}
