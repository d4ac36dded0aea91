import type { LaneTraffic } from './lane-messages.ts';
import type { WorkerReport } from './node-messages.ts';

interface Counts {
  sentBytes: number;
  receivedBytes: number;
  detouredFrames: number;
}

/** What each worker of a node has moved: the first counts here, the others report. */
export class WorkerCounts {
  /** Of the first. */
  sentBytes = 0;
  receivedBytes = 0;
  readonly #others: readonly Counts[];

  constructor(workers: number) {
    this.#others = Array.from({ length: workers - 1 }, () => ({
      sentBytes: 0,
      receivedBytes: 0,
      detouredFrames: 0,
    }));
  }

  onTraffic(worker: number, { sentBytes, receivedBytes }: LaneTraffic): void {
    const counts = this.#others[worker - 1]!;
    counts.sentBytes += sentBytes;
    counts.receivedBytes += receivedBytes;
  }

  onDetour(worker: number, frames: number): void {
    this.#others[worker - 1]!.detouredFrames += frames;
  }

  reports(): WorkerReport[] {
    const { sentBytes, receivedBytes } = this;
    return [
      { sentBytes, receivedBytes, detouredFrames: 0 },
      ...this.#others.map((counts) => ({ ...counts })),
    ];
  }
}
