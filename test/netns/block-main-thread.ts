import { isMainThread } from 'node:worker_threads';

/**
 * Preloaded into a daemon by tests, with NODE_OPTIONS=--import: at SIGUSR2 its main thread does nothing for half a
 * second, as if it were busy. Other threads go on.
 */
const BLOCK_MS = 500;

if (isMainThread) {
  const never = new Int32Array(new SharedArrayBuffer(4));
  process.on('SIGUSR2', () => void Atomics.wait(never, 0, 0, BLOCK_MS));
}
