import { renameSync, writeFileSync } from 'node:fs';
import { GCProfiler } from 'node:v8';
import { isMainThread, workerData } from 'node:worker_threads';

/**
 * Preloaded by NODE_OPTIONS into every thread of a daemon, it does nothing but in the data thread: there it writes once a
 * second to `$WEAVE_GC_DIR/PID.json` what the garbage collector has done so far.
 */
export interface GcRecord {
  readonly minor: number;
  /** Mark-sweep-compact. */
  readonly major: number;
  /** Steps of incremental marking, of which a major collection takes several. */
  readonly marking: number;
  /** Milliseconds in which nothing else ran. */
  readonly pauseMs: number;
  readonly longestMs: number;
  /** Bytes that were allocated on the heap of JavaScript. */
  readonly allocated: number;
}

const INTERVAL_MS = 1_000;

function record(directory: string): void {
  let profiler = new GCProfiler();
  profiler.start();
  let total: GcRecord = { minor: 0, major: 0, marking: 0, pauseMs: 0, longestMs: 0, allocated: 0 };
  let used = process.memoryUsage().heapUsed;
  const path = `${directory}/${process.pid}.json`;
  const timer = setInterval(() => {
    let { minor, major, marking, pauseMs, longestMs, allocated } = total;
    for (const { gcType, cost, beforeGC, afterGC } of profiler.stop().statistics) {
      if (gcType === 'Scavenge') minor++;
      else if (gcType === 'IncrementalMarking') marking++;
      else major++;
      pauseMs += cost / 1_000;
      longestMs = Math.max(longestMs, cost / 1_000);
      allocated += Math.max(0, beforeGC.heapStatistics.usedHeapSize - used);
      used = afterGC.heapStatistics.usedHeapSize;
    }
    const usedNow = process.memoryUsage().heapUsed;
    allocated += Math.max(0, usedNow - used);
    used = usedNow;
    total = { minor, major, marking, pauseMs, longestMs, allocated };
    // Whole or not at all: somebody reads it.
    writeFileSync(`${path}.new`, JSON.stringify(total));
    renameSync(`${path}.new`, path);
    profiler = new GCProfiler();
    profiler.start();
  }, INTERVAL_MS);
  timer.unref();
}

const directory = process.env['WEAVE_GC_DIR'];
const isDataThread = !isMainThread && (workerData as { tap?: unknown } | undefined)?.tap !== undefined;
if (directory !== undefined && isDataThread) record(directory);
