import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads';

/**
 * Preloaded into a daemon by tests, with NODE_OPTIONS=--import: at SIGUSR2 the thread of worker 1 ends, as if it had run
 * into a bug.
 */
const { worker } = (workerData ?? {}) as { readonly worker?: number };
const isLane = worker === 1;

if (isMainThread || isLane) {
  const channel = new BroadcastChannel('end-lane-thread');
  channel.unref();
  if (isLane) channel.onmessage = () => process.exit(0);
  else process.on('SIGUSR2', () => channel.postMessage('end'));
}
