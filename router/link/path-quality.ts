import type { Millis } from '../../core/time.ts';

const RTT_WEIGHT = 1 / 8;
const LOSS_WEIGHT = 1 / 16;

/** Round-trip time and loss of one path, as exponentially weighted means over its heartbeats. */
export class PathQuality {
  rttMs: number | undefined;
  lostFraction = 0;

  onAnswered(rtt: Millis): void {
    this.onRtt(rtt);
    this.lostFraction -= this.lostFraction * LOSS_WEIGHT;
  }

  onRtt(rtt: Millis): void {
    this.rttMs = this.rttMs === undefined ? rtt : this.rttMs + (rtt - this.rttMs) * RTT_WEIGHT;
  }

  onLost(): void {
    this.lostFraction += (1 - this.lostFraction) * LOSS_WEIGHT;
  }
}
