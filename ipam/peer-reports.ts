import type { PeerName } from '../core/peer-name.ts';
import type { IpamPorts } from './ports.ts';
import { MAX_SEGMENTS } from './ring.ts';

const MAX_REPORTED = 1_000;

/** What is wrong with what other peers say: each thing is reported once, however often it comes. */
export class PeerReports {
  readonly #log: IpamPorts['log'];
  readonly #reported = new Set<string>();
  readonly #otherRanges = new Set<string>();

  constructor(log: IpamPorts['log']) {
    this.#log = log;
  }

  malformed(peer: PeerName): void {
    if (this.#isNew(`malformed ${peer}`)) this.#log('warn', 'ignored a malformed address message', { peer });
  }

  otherRange(range: string, ours: string): void {
    if (!this.#isNew(`range ${range}`)) return;
    this.#otherRanges.add(range);
    this.#log('warn', 'peers use another address range', { range, ours });
  }

  /** Ranges that others have spoken of since the start, as text. */
  get otherRanges(): readonly string[] {
    return [...this.#otherRanges].sort();
  }

  /** What was said of the ring could not be merged: see SharedState.refused. */
  fullRing(): void {
    const message =
      'the address ring is in more pieces than it may have: what changed hands since then is not known here; ' +
      'hosts that hold few addresses can give them up with weave-ts reset';
    if (this.#isNew('full ring')) this.#log('error', message, { limit: MAX_SEGMENTS });
  }

  #isNew(key: string): boolean {
    if (this.#reported.has(key) || this.#reported.size >= MAX_REPORTED) return false;
    this.#reported.add(key);
    return true;
  }
}
