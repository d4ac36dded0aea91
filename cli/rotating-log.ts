import { closeSync, existsSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

const ROTATE_AT_BYTES = 10 << 20;
const KEPT = 3;

/** A log file that is renamed to FILE.1 at 10 MiB; three old ones are kept. Writes are synchronous, so a crash loses none. */
export class RotatingLog {
  readonly #path: string;
  #descriptor: number;
  #size: number;

  constructor(path: string) {
    this.#path = path;
    this.#descriptor = openSync(path, 'a', 0o600);
    this.#size = fstatSync(this.#descriptor).size;
  }

  write(line: string): void {
    if (this.#size >= ROTATE_AT_BYTES) this.#rotate();
    this.#size += writeSync(this.#descriptor, line);
  }

  #rotate(): void {
    closeSync(this.#descriptor);
    for (let i = KEPT - 1; i >= 1; i--) {
      if (existsSync(`${this.#path}.${i}`)) renameSync(`${this.#path}.${i}`, `${this.#path}.${i + 1}`);
    }
    renameSync(this.#path, `${this.#path}.1`);
    this.#descriptor = openSync(this.#path, 'a', 0o600);
    this.#size = 0;
  }
}
