import type { Endpoint } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { earlier, type Millis } from '../../core/time.ts';
import { Liveness } from './liveness.ts';
import { PathMtu } from './path-mtu.ts';
import { PathQuality } from './path-quality.ts';
import { Prober } from './prober.ts';

/** A chain of relays, as the ControlNode opened it. */
export interface Circuit {
  readonly circuit: number;
  readonly route: readonly PeerName[];
  readonly firstHop: PeerName;
  /** Index on which we receive, and the one that the first relay expects. */
  readonly alias: number;
  readonly sendIndex: number;
}

/** Sends a request of `size` bytes of UDP payload on a path; undefined = unpadded. */
export type SendRequest = (
  kind: 'heartbeat' | 'probe',
  path: LinkPath,
  token: Uint8Array,
  size: number | undefined,
) => void;

/**
 * One way to the peer: an address (direct) or a circuit. It is probed until its size is known, and from the moment
 * that it is in use it is kept by heartbeats.
 */
export class LinkPath {
  /** The engine's number of the path, and our path id on the wire. */
  readonly id: number;
  readonly circuit: Circuit | undefined;
  readonly createdAt: Millis;
  readonly quality = new PathQuality();
  readonly prober: Prober;
  readonly mtu: PathMtu;
  /** Where datagrams go: the peer, or a circuit's first relay; undefined while that one has no direct path. */
  endpoint: Endpoint | undefined;
  /** Present while the path is in use and confirmed. */
  liveness: Liveness | undefined;
  /** The peer was heard from this address while another is in use: move there once it answers. */
  roaming = false;
  /** The peer said that it takes plain frames from where this path comes from. */
  plainWelcome = false;
  /** Last datagram either way; counts for circuits only. */
  lastUsed: Millis;

  constructor(
    id: number,
    full: number,
    to: { endpoint?: Endpoint | undefined; circuit?: Circuit },
    now: Millis,
  ) {
    this.id = id;
    this.endpoint = to.endpoint;
    this.circuit = to.circuit;
    this.createdAt = now;
    this.lastUsed = now;
    this.prober = new Prober(now);
    this.mtu = new PathMtu(full);
  }

  get direct(): boolean {
    return this.circuit === undefined;
  }

  /** Probes were answered and the size is known. */
  get ready(): boolean {
    return this.mtu.size !== undefined;
  }

  takeIntoUse(now: Millis): void {
    this.liveness = new Liveness(this.quality, now);
    this.roaming = false;
  }

  /** No longer confirmed: back to probing from nothing. */
  lose(now: Millis): void {
    this.liveness = undefined;
    this.mtu.reset();
    this.prober.restart(now);
  }

  /** `probed`: whether the path is to be probed while it is not in use. */
  nextTimeout(probed: boolean): Millis | undefined {
    if (this.liveness) return earlier(this.liveness.nextTimeout(), this.mtu.nextTimeout());
    if (!probed || this.endpoint === undefined) return undefined;
    return earlier(this.prober.nextRoundAt(), this.ready ? undefined : this.mtu.nextTimeout());
  }

  /** Sends the heartbeats and probes that are due; `interval` is that between rounds of probes. */
  onTimeout(interval: Millis, freshToken: () => Uint8Array, send: SendRequest, now: Millis): void {
    if (this.liveness) this.#keepAlive(this.liveness, freshToken, send, now);
    else this.#probe(interval, freshToken, send, now);
  }

  /** An answer to one of our requests; false if it answers nothing that is open. */
  onAck(token: Uint8Array, now: Millis): boolean {
    if (this.liveness?.onAck(token, now)) return true;
    const answered = this.prober.onAck(token, now);
    if (answered === undefined) return false;
    this.quality.onRtt(answered.rtt);
    this.mtu.onDelivered(answered.size, now);
    return true;
  }

  #keepAlive(liveness: Liveness, freshToken: () => Uint8Array, send: SendRequest, now: Millis): void {
    if (liveness.dueAt() <= now) {
      const small = liveness.paddedOverdue(now);
      this.#heartbeat(liveness, freshToken(), this.mtu.size, send, now);
      if (small) this.#heartbeat(liveness, freshToken(), undefined, send, now);
    }
    const size = this.mtu.onTimeout(now);
    if (size !== undefined) this.#sendProbe(freshToken(), size, send, now);
  }

  #heartbeat(
    liveness: Liveness,
    token: Uint8Array,
    size: number | undefined,
    send: SendRequest,
    now: Millis,
  ): void {
    liveness.onSent(token, size !== undefined, now);
    send('heartbeat', this, token, size);
  }

  #probe(interval: Millis, freshToken: () => Uint8Array, send: SendRequest, now: Millis): void {
    // A size found by a search belongs to a path in use; here only the time for the first probes may run out.
    if (!this.ready) this.mtu.onTimeout(now);
    if (this.endpoint === undefined || now < this.prober.nextRoundAt()) return;
    this.prober.beginRound(interval, now);
    const sizes = this.mtu.size === undefined ? this.mtu.firstProbes() : [this.mtu.size];
    for (const size of sizes) this.#sendProbe(freshToken(), size, send, now);
  }

  #sendProbe(token: Uint8Array, size: number, send: SendRequest, now: Millis): void {
    this.prober.onSent(token, size, now);
    send('probe', this, token, size);
  }
}
