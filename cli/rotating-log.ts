import { closeSync, existsSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

const ROTATE_AT_BYTES = 10 << 20;
const KEPT = 3;

/**
 * A log file that is renamed to FILE.1 at 10 MiB; three old ones are kept. Writes are synchronous, so a crash loses none.
 * Those that fail, as on a full disk, are passed over and counted: no daemon ends because of its log.
 */
export class RotatingLog {
  readonly #path: string;
  readonly #append: (descriptor: number, text: string) => number;
  readonly #open: () => number;
  #descriptor: number;
  #size: number;
  #lost = 0;

  /**
   * `append` writes what it can and returns how many bytes, or throws; another one than writeSync in tests, as is `open`,
   * which returns a descriptor.
   */
  constructor(
    path: string,
    append: (descriptor: number, text: string) => number = writeSync,
    open: () => number = () => openSync(path, 'a', 0o600),
  ) {
    this.#path = path;
    this.#append = append;
    this.#open = open;
    this.#descriptor = open();
    this.#size = fstatSync(this.#descriptor).size;
  }

  /** Never throws. */
  write(line: string): void {
    if (this.#size >= ROTATE_AT_BYTES) this.#rotate();
    const text = this.#lost === 0 ? line : lossText(this.#lost) + line;
    if (this.#wrote(text)) this.#lost = 0;
    else this.#lost++;
  }

  #wrote(text: string): boolean {
    try {
      const written = this.#append(this.#descriptor, text);
      this.#size += written;
      return written === Buffer.byteLength(text);
    } catch {
      return false;
    }
  }

  /** What cannot be renamed grows on. */
  #rotate(): void {
    try {
      // It is missing if the last try got no further, as no descriptor was left: what was to be moved is.
      if (existsSync(this.#path)) this.#shift();
      const fresh = this.#open();
      closeSync(this.#descriptor);
      this.#descriptor = fresh;
      this.#size = 0;
    } catch {
      return;
    }
  }

  #shift(): void {
    for (let i = KEPT - 1; i >= 1; i--) {
      if (existsSync(`${this.#path}.${i}`)) renameSync(`${this.#path}.${i}`, `${this.#path}.${i + 1}`);
    }
    renameSync(this.#path, `${this.#path}.1`);
  }
}

/** In the form of the other lines, before one that has the time; the first line end ends one that was cut off. */
function lossText(lines: number): string {
  return `\n${JSON.stringify({ level: 40, lines, msg: 'lines of this log could not be written' })}\n`;
}
