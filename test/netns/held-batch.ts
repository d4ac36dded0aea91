import { openEngine } from '../../router/engine/choose.ts';
import type { HandedFrame } from '../../router/engine/port.ts';

/** Run in a namespace: what an engine does whose TAP has frames, when it is given those of another worker. */
export interface HeldBatchSeen {
  /** The error of adopting while frames wait. */
  readonly refusal: string;
  /** Frames that waited, that were adopted then, and the length of the one that was adopted. */
  readonly held: number;
  readonly adopted: number;
  readonly length: number;
}

const handed: HandedFrame = { bytes: new Uint8Array(1_111), segment: 1_111, flags: 0 };

let onReady = (): void => undefined;
const options = { tap: 'tap0', address: undefined, port: 6783, onReady: () => onReady() };
const { engine } = await openEngine('native', options);

function refusal(): string {
  try {
    engine.adoptFrames([handed]);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

onReady = () => {
  onReady = () => undefined;
  const seen = { refusal: refusal(), held: engine.readFrames().count };
  const { count, length } = engine.adoptFrames([handed]);
  process.stdout.write(JSON.stringify({ ...seen, adopted: count, length: length[0] }) + '\n');
  void engine.close().then(() => process.exit(0));
};
process.stdout.write('open\n');
