import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EngineError } from './port.ts';

declare const handle: unique symbol;

/** An attached TAP. It belongs to the thread that opened it. */
export interface TapHandle {
  readonly [handle]: 'tap';
}

/** Results of {@link Addon.tapWrite}. */
export const TAP_WRITTEN = 0;
export const TAP_QUEUE_FULL = 1;
export const TAP_REFUSED = 2;
export const TAP_GONE = 3;

/** The functions in C (native/src). What fails in the system throws an Error whose `code` is the errno's name. */
export interface Addon {
  /**
   * Attaches to the TAP `name`, which is made if need be and outlives the handle. `superFrames`: the kernel hands over
   * TCP of up to 64 KiB uncut. `onReadable` is called from the event loop while frames wait, or when the TAP is gone.
   */
  tapOpen(name: string, superFrames: boolean, onReadable: () => void): TapHandle;
  tapClose(tap: TapHandle): void;
  /** Removes the TAP `name` from the host; nothing happens if there is none. */
  tapDelete(name: string): void;
  /** Fills the arrays as in FrameBatch. Returns the number of frames, or -1 if the TAP is gone. */
  tapRead(
    tap: TapHandle,
    data: Uint8Array,
    offset: Uint32Array,
    length: Uint32Array,
    segment: Uint32Array,
    flags: Uint8Array,
  ): number;
  /** Writes one frame; returns one of the TAP_ results. */
  tapWrite(tap: TapHandle, data: Uint8Array, offset: number, length: number, flags: number): number;
  /** Overwrites an environment variable where other processes can see it, then removes it. */
  wipeEnvironment(name: string): void;
  /**
   * Takes the lock of the file `path`, which is made if need be, until {@link unlock} or the end of the process.
   * Undefined if another process holds it.
   */
  tryLock(path: string): number | undefined;
  unlock(lock: number): void;
}

/** The addon of this package. Throws an {@link EngineError} that names the remedy if it is missing or does not load. */
export function loadAddon(): Addon {
  const path = join(packageRoot(), 'native', 'build', 'weave_ts.node');
  if (!existsSync(path)) {
    throw new EngineError(`The native addon ${path} is missing: run "npm run build:native".`);
  }
  try {
    return createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new EngineError(`The native addon does not load (${why}): run "npm run build:native".`);
  }
}

/** The folder of package.json: two above the sources, three above what is built of them. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder);
  return folder;
}
