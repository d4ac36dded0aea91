import { loadAddon, type Addon, type TapHandle } from '../../../router/engine/addon.ts';
import type { ContractHost } from './contract.ts';

interface Waiting {
  readonly frame: Uint8Array;
  readonly segment: number;
}

/** The addon with a TAP in memory: frames are read in batches as from a device, and what is written is kept. */
export class FakeTap implements ContractHost {
  readonly addon: Addon;
  readonly written: Uint8Array[] = [];
  readonly #waiting: Waiting[] = [];
  #onReadable: () => void = () => undefined;

  constructor() {
    this.addon = {
      ...loadAddon(),
      tapOpen: (_name, _superFrames, onReadable) => {
        this.#onReadable = onReadable;
        return {} as TapHandle;
      },
      tapClose: () => undefined,
      tapRead: (_tap, data, offset, length, segment, flags) => {
        const [next] = this.#waiting.splice(0, 1);
        if (next === undefined) return 0;
        data.set(next.frame, 7);
        [offset[0], length[0], segment[0], flags[0]] = [7, next.frame.length, next.segment, 1];
        return 1;
      },
      tapWriteFrames: (_tap, data, first, end, offset, length, _flags, refused) => {
        for (let i = first; i < end; i++) {
          if (length[i]! < 14) refused[0]!++;
          else this.written.push(data.slice(offset[i], offset[i]! + length[i]!));
        }
        return 0;
      },
    };
  }

  /** `segment`: length of the largest frame to be cut; the whole frame by default. */
  sends(frame: Uint8Array, segment = frame.length): void {
    this.#waiting.push({ frame, segment });
    setImmediate(this.#onReadable);
  }

  takeReceived(): Uint8Array[] {
    return this.written.splice(0);
  }
}
