import type { Endpoint } from '../../core/address.ts';
import { toHex } from '../../core/bytes.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { randomBelow, type RandomSource } from '../../core/random.ts';
import type { Millis } from '../../core/time.ts';
import { encodeMessage, parseMessage, type Message, type Unicast } from '../../gossip/messages.ts';
import { decodeDelta, type EncodedEntry } from '../../gossip/topology-codec.ts';
import { encodeDelta } from '../../gossip/topology-delta.ts';
import type { StreamOpener, StreamSealer } from '../../router/crypto/primitives.ts';
import type { DatagramCipher } from '../../router/engine/datagram-cipher.ts';
import type { SimHost, SimNetwork } from './network.ts';
import type { SimWorld } from './sim-node.ts';
import type { PlayedPrimitives } from '../router/crypto/played-primitives.ts';

/** What a hostile relay does with what it is trusted to carry. What it leaves out it carries honestly. */
export interface Attack {
  readonly what: string;
  /** A unicast about to leave: what leaves in its place, or undefined = nothing. */
  readonly onUnicast?: (unicast: Unicast, relay: HostileRelay) => Unicast | undefined;
  /** A datagram of others about to leave: what leaves in its place. */
  readonly onDatagram?: (datagram: RelayedDatagram, relay: HostileRelay) => readonly RelayedDatagram[];
  /** An entry of the topology about to leave. */
  readonly onEntry?: (entry: EncodedEntry, relay: HostileRelay) => EncodedEntry;
}

export interface RelayedDatagram {
  readonly to: Endpoint;
  readonly bytes: Uint8Array;
  readonly after?: Millis;
}

const HEARTBEAT: Message = { type: 'heartbeat' };
const KINDS = ['offer', 'answer', 'circuit'];

/**
 * A member of the mesh that runs the real node, but whose cryptography and network are wrapped: it looks at every byte
 * that it can open, and an attack may change whatever it sends.
 */
export class HostileRelay {
  readonly name: PeerName;
  readonly random: RandomSource;
  attack: Attack | undefined;
  /** How often the attack changed or swallowed something. */
  touched = 0;
  /** Messages to be sent in place of the next ones that nobody misses. */
  readonly injections: Unicast[] = [];
  /** All unicasts that it carried. */
  readonly carried: Unicast[] = [];
  /** Topology entries that it heard of, by name. */
  readonly entries = new Map<string, EncodedEntry>();
  /** It opened or received bytes: for whoever looks for what it must not see. */
  onRead: (bytes: Uint8Array) => void = () => undefined;
  /** Tags of datagrams that came to it: what leaves with one of them is relayed. */
  readonly #tags = new Set<string>();

  constructor(name: PeerName, random: RandomSource) {
    this.name = name;
    this.random = random;
  }

  /** The world as this one node finds it. */
  wrap(world: SimWorld): SimWorld {
    const { primitives, cipher, network, clock } = world;
    return {
      ...world,
      primitives: this.#wrapPrimitives(primitives),
      cipher: this.#wrapCipher(cipher),
      network: {
        attach: (host) => network.attach(this.#wrapHost(host)),
        detach: (endpoint) => network.detach(endpoint),
        dial: (...args: Parameters<SimNetwork['dial']>) => network.dial(...args),
        send: (from, to, bytes) => {
          for (const { after, ...each } of this.#onDatagram({ to, bytes })) {
            if (after === undefined) network.send(from, each.to, each.bytes);
            else clock.after(after, () => network.send(from, each.to, each.bytes));
          }
        },
      },
    };
  }

  #wrapPrimitives(primitives: PlayedPrimitives): PlayedPrimitives {
    return {
      ...primitives,
      sealStream: (key, header) => this.#wrapSealer(primitives.sealStream(key, header)),
      openStream: (key, header) => this.#wrapOpener(primitives.openStream(key, header)),
    };
  }

  #wrapSealer(sealer: StreamSealer): StreamSealer {
    return { seal: (message) => sealer.seal(this.#onSending(message)), wipe: () => sealer.wipe() };
  }

  #wrapOpener(opener: StreamOpener): StreamOpener {
    return {
      open: (sealed) => {
        const message = opener.open(sealed);
        if (message !== undefined) this.#onOpened(message);
        return message;
      },
      wipe: () => opener.wipe(),
    };
  }

  #wrapCipher(cipher: DatagramCipher): DatagramCipher {
    return {
      seal: (key, counter, plaintext) => cipher.seal(key, counter, plaintext),
      open: (key, counter, sealed) => {
        const opened = cipher.open(key, counter, sealed);
        if (opened !== undefined) this.onRead(opened);
        return opened;
      },
    };
  }

  #wrapHost(host: SimHost): SimHost {
    return {
      endpoint: host.endpoint,
      onAccepted: (remote, handle) => host.onAccepted(remote, handle),
      onDatagram: (from, datagram) => {
        this.onRead(datagram);
        this.#tags.add(tagOf(datagram));
        host.onDatagram(from, datagram);
      },
    };
  }

  #onOpened(bytes: Uint8Array): void {
    this.onRead(bytes);
    const parsed = parseMessage(bytes);
    if (parsed.type !== 'message') return;
    const { message } = parsed;
    if (message.type !== 'gossip' || message.channel !== 'topology') return;
    for (const each of decodeDelta(message.delta)) {
      const encoded = each.decode(this.entries.get(each.name));
      if (encoded !== undefined) this.entries.set(each.name, encoded);
    }
  }

  #onSending(bytes: Uint8Array): Uint8Array {
    const parsed = parseMessage(bytes);
    if (parsed.type !== 'message') return bytes;
    const { message } = parsed;
    if (message.type === 'unicast' && KINDS.includes(message.kind)) return this.#onUnicast(message, bytes);
    if (message.type === 'gossip' && message.channel === 'topology' && this.attack?.onEntry !== undefined) {
      return encodeMessage({ ...message, delta: this.#onDelta(message.delta, this.attack.onEntry) });
    }
    const isSpare = message.type === 'heartbeat' || message.type === 'digest';
    // Heartbeats of all connections leave together: by lot, or each injection would always take the same way.
    const injected =
      isSpare && this.injections.length > 0 && randomBelow(this.random, 2) === 0
        ? this.injections.shift()
        : undefined;
    if (injected === undefined) return bytes;
    this.touched++;
    return encodeMessage(injected);
  }

  #onUnicast(unicast: Unicast, bytes: Uint8Array): Uint8Array {
    this.carried.push({ ...unicast, bytes: unicast.bytes.slice() });
    if (this.attack?.onUnicast === undefined) return bytes;
    const replaced = this.attack.onUnicast(unicast, this);
    if (replaced === unicast) return bytes;
    this.touched++;
    return encodeMessage(replaced ?? HEARTBEAT);
  }

  #onDelta(delta: Uint8Array, onEntry: NonNullable<Attack['onEntry']>): Uint8Array {
    const entries = decodeDelta(delta).flatMap((each) => {
      const before = each.decode(this.entries.get(each.name));
      if (before === undefined) return [];
      const after = onEntry(before, this);
      if (after !== before) this.touched++;
      return after;
    });
    return encodeDelta(entries);
  }

  #onDatagram(datagram: RelayedDatagram): readonly RelayedDatagram[] {
    const isRelayed = this.#tags.has(tagOf(datagram.bytes));
    if (!isRelayed || this.attack?.onDatagram === undefined) return [datagram];
    this.touched++;
    return this.attack.onDatagram(datagram, this);
  }
}

function tagOf(datagram: Uint8Array): string {
  return toHex(datagram.subarray(-16));
}
