import { kill, pid } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { FlightRecorder } from './flight-recorder.ts';
import type { Job, Outcome } from './outcome.ts';

/** More than the list of all targets has. */
const MOST_TARGETS = 100;
/** Far beyond what an input takes on a machine that is starved. */
const HANGS_AFTER_MS = 20_000;
const LOOKS = 8;
/** For a thread to end that is told to. */
const PATIENCE_MS = 5_000;

export interface Watch {
  readonly hangsAfterMs?: number;
  /** Is called with the outcome of a hang before its thread is ended, which may end the process. */
  readonly onHang?: (outcome: Outcome) => void | Promise<void>;
}

/**
 * Does a job in a thread of its own, and ends it where no input gets done for long: that is a find too, and its inputs
 * are those that the thread was about to feed. Rejects with what the thread throws.
 */
export async function runWatched(job: Job, watch: Watch = {}): Promise<Outcome> {
  const recorder = FlightRecorder.forTargets(MOST_TARGETS);
  const worker = new Worker(new URL('./fuzz-thread.js', import.meta.url), {
    workerData: { ...job, shared: recorder.shared },
  });
  let names: readonly string[] = [];
  const ended = new Promise<Outcome>((resolve, reject) => {
    worker.on('message', (message: readonly string[] | Outcome) => {
      if ('tallies' in message) resolve(message);
      else names = message;
    });
    worker.once('error', reject);
    worker.once('exit', () => {
      if (recorder.begun > 0) resolve(lost(recorder, names, 'the thread ended without an outcome'));
      else reject(new Error('the thread ended before its first input'));
    });
  });
  const stop = new AbortController();
  const hang = hangOf(recorder, watch.hangsAfterMs ?? HANGS_AFTER_MS, stop.signal);
  try {
    const outcome = await Promise.race([
      ended,
      hang.then(() => lost(recorder, names, 'it hangs: no input got done for long')),
    ]);
    if (outcome.found?.hung === true) await watch.onHang?.(outcome);
    return outcome;
  } finally {
    stop.abort();
    await end(worker);
  }
}

/** Resolves when a fuzzer that has begun does not get on for so long; never if it is told to stop. */
async function hangOf(recorder: FlightRecorder, afterMs: number, stop: AbortSignal): Promise<void> {
  let [seen, still] = [0, 0];
  while (still < LOOKS) {
    await sleep(afterMs / LOOKS, undefined, { signal: stop }).catch(() => undefined);
    if (stop.aborted) return new Promise(() => undefined);
    still = recorder.begun === seen && seen > 0 ? still + 1 : 0;
    seen = recorder.begun;
  }
}

/** Of a thread that can no longer tell. */
function lost(recorder: FlightRecorder, names: readonly string[], error: string): Outcome {
  const found = {
    target: names[recorder.target]!,
    error,
    inputs: recorder.inputsOf(recorder.target),
    hung: true,
  };
  return { tallies: new Map(), cpuSeconds: 0, found, residentWarm: 0, resident: 0 };
}

/** A loop in the addon cannot be ended other than with the process. */
async function end(worker: Worker): Promise<void> {
  const gone = await Promise.race([worker.terminate(), sleep(PATIENCE_MS, 'never', { ref: false })]);
  if (gone === 'never') kill(pid, 'SIGKILL');
}
