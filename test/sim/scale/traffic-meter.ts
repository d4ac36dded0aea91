import type { Endpoint } from '../../../core/address.ts';
import { encodeMessage } from '../../../gossip/messages.ts';
import { STREAM_OVERHEAD } from '../../../router/crypto/primitives.ts';
import type { SimHost, SimNetwork, SimStreamHandle, StreamEnd } from '../network.ts';
import type { SimWorld } from '../sim-node.ts';

/** What nodes have sent so far. */
export interface Traffic {
  /** Bytes on control connections, handshakes and heartbeats included. */
  readonly streamBytes: number;
  /** Of those, what went as a heartbeat alone. */
  readonly heartbeatBytes: number;
  /** Segments that were written to control connections but for such heartbeats. */
  readonly segments: number;
  readonly datagrams: number;
  readonly datagramBytes: number;
}

/** A frame on a control connection: u32 length, sealed message. */
const HEARTBEAT_BYTES = 4 + encodeMessage({ type: 'heartbeat' }).length + STREAM_OVERHEAD;

export const NO_TRAFFIC: Traffic = {
  streamBytes: 0,
  heartbeatBytes: 0,
  segments: 0,
  datagrams: 0,
  datagramBytes: 0,
};

/** Counts what the nodes of a simulation send, on its way to the network. */
export class TrafficMeter implements Pick<SimNetwork, 'attach' | 'detach' | 'send' | 'dial'> {
  readonly #network: SimWorld['network'];
  readonly #counts = { ...NO_TRAFFIC };

  constructor(network: SimWorld['network']) {
    this.#network = network;
  }

  /** Of all nodes together, since the start. */
  get total(): Traffic {
    return { ...this.#counts };
  }

  attach(host: SimHost): void {
    this.#network.attach({
      endpoint: host.endpoint,
      onAccepted: (remote, handle) => host.onAccepted(remote, this.#metered(handle)),
      onDatagram: (from, datagram) => host.onDatagram(from, datagram),
    });
  }

  detach(endpoint: Endpoint): void {
    this.#network.detach(endpoint);
  }

  send(from: Endpoint, to: Endpoint, datagram: Uint8Array): void {
    this.#counts.datagrams++;
    this.#counts.datagramBytes += datagram.length;
    this.#network.send(from, to, datagram);
  }

  dial(
    from: Endpoint,
    to: Endpoint,
    end: StreamEnd,
    settled: (stream: SimStreamHandle | undefined) => void,
  ): void {
    this.#network.dial(from, to, end, (stream) => settled(stream && this.#metered(stream)));
  }

  #metered(stream: SimStreamHandle): SimStreamHandle {
    return {
      write: (bytes) => {
        this.#counts.streamBytes += bytes.length;
        if (bytes.length === HEARTBEAT_BYTES) this.#counts.heartbeatBytes += bytes.length;
        else this.#counts.segments++;
        stream.write(bytes);
      },
      close: () => stream.close(),
    };
  }
}

/** What was sent from `before` to `after`. */
export function trafficBetween(before: Traffic, after: Traffic): Traffic {
  return {
    streamBytes: after.streamBytes - before.streamBytes,
    heartbeatBytes: after.heartbeatBytes - before.heartbeatBytes,
    segments: after.segments - before.segments,
    datagrams: after.datagrams - before.datagrams,
    datagramBytes: after.datagramBytes - before.datagramBytes,
  };
}
