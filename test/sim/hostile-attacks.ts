import { SeededRandom, randomBelow } from '../../core/random.ts';
import { SECOND } from '../../core/time.ts';
import { fromHex } from '../../core/bytes.ts';
import type { Unicast } from '../../gossip/messages.ts';
import { encodeBody } from '../../gossip/topology-codec.ts';
import { encodeCircuitMessage, parseCircuitMessage } from '../../router/link/circuit-message.ts';
import type { CircuitMessage } from '../../router/link/circuit-message.ts';
import { encodeEnvelope, parseEnvelope } from '../../router/link/offer-envelope.ts';
import type { OfferEnvelope } from '../../router/link/offer-envelope.ts';
import { OutgoingOffer } from '../../router/link/offer-handshake.ts';
import type { Attack, HostileRelay, RelayedDatagram } from './hostile-relay.ts';
import { playedSodium as sodium } from '../router/crypto/played-primitives.ts';

/** An attack, and the count at one of the ends that shows that it was met; none if it leaves no trace there. */
export interface CountedAttack extends Attack {
  readonly counted?: string;
  /** The ends cannot hear each other while it lasts; if not, they hear nearly all, each frame once. */
  readonly deafens: boolean;
}

type OnUnicast = NonNullable<Attack['onUnicast']>;

/** Applies to the handshakes of others. */
function onHandshake(kind: 'offer' | 'answer' | 'both', change: OnUnicast): OnUnicast {
  return (unicast, relay) => {
    const isOfOthers = unicast.from !== relay.name && unicast.to !== relay.name;
    const fits = kind === 'both' ? unicast.kind !== 'circuit' : unicast.kind === kind;
    return isOfOthers && fits ? change(unicast, relay) : unicast;
  };
}

function onEnvelope(
  kind: 'offer' | 'answer' | 'both',
  change: (envelope: OfferEnvelope) => OfferEnvelope,
): OnUnicast {
  return onHandshake(kind, (unicast) => {
    return { ...unicast, bytes: encodeEnvelope(change(parseEnvelope(unicast.bytes)!)) };
  });
}

function onCircuit(
  change: (message: CircuitMessage, unicast: Unicast) => CircuitMessage | undefined,
): OnUnicast {
  return (unicast) => {
    if (unicast.kind !== 'circuit') return unicast;
    const message = parseCircuitMessage(unicast.bytes)!;
    const changed = change(message, unicast);
    if (changed === message) return unicast;
    return changed === undefined ? undefined : { ...unicast, bytes: encodeCircuitMessage(changed) };
  };
}

function flipOneBit(bytes: Uint8Array, relay: HostileRelay, from = 0): Uint8Array {
  const at = from + randomBelow(relay.random, bytes.length - from);
  return bytes.with(at, bytes[at]! ^ (1 << randomBelow(relay.random, 8)));
}

/** Envelope: from 6 | to 6 | offer id 8. */
const ENVELOPE_HEADER = 20;

/** On session handshakes and on what opens circuits, from the first one on. */
export const EARLY_ATTACKS: readonly CountedAttack[] = [
  {
    what: 'flips a bit of every offer',
    onUnicast: onHandshake('offer', (unicast, relay) => {
      return { ...unicast, bytes: flipOneBit(unicast.bytes, relay, ENVELOPE_HEADER) };
    }),
    counted: 'offer-undecipherable',
    deafens: true,
  },
  {
    what: 'flips a bit of every answer',
    onUnicast: onHandshake('answer', (unicast, relay) => {
      return { ...unicast, bytes: flipOneBit(unicast.bytes, relay, ENVELOPE_HEADER) };
    }),
    counted: 'answer-undecipherable',
    deafens: true,
  },
  {
    what: 'numbers every offer anew',
    onUnicast: onEnvelope('offer', (envelope) => ({ ...envelope, offer: envelope.offer + 1 })),
    counted: 'offer-malformed',
    deafens: true,
  },
  {
    what: 'numbers every answer anew',
    onUnicast: onEnvelope('answer', (envelope) => ({ ...envelope, offer: envelope.offer + 1 })),
    counted: 'answer-unexpected',
    deafens: true,
  },
  { what: 'swallows every offer', onUnicast: onHandshake('offer', () => undefined), deafens: true },
  { what: 'swallows every answer', onUnicast: onHandshake('answer', () => undefined), deafens: true },
  {
    what: 'cuts every offer and answer short',
    onUnicast: onHandshake('both', (unicast) => ({ ...unicast, bytes: unicast.bytes.slice(0, 40) })),
    counted: 'offer-undecipherable',
    deafens: true,
  },
  {
    what: 'sends every offer and answer on one too late',
    onUnicast: (() => {
      let held: Unicast | undefined;
      return onHandshake('both', (unicast) => {
        const before = held;
        held = { ...unicast, bytes: unicast.bytes.slice() };
        return before;
      });
    })(),
    deafens: true,
  },
  {
    what: 'answers every offer itself',
    onUnicast: onHandshake('offer', (unicast, relay) => {
      const { from, to } = unicast;
      const { offer } = parseEnvelope(unicast.bytes)!;
      const made = encodeEnvelope({ from: to, to: from, offer, bytes: relay.random.bytes(89) });
      // An answer to an offer that was given up says nothing.
      relay.injections.splice(0);
      relay.injections.push({ ...unicast, from: to, to: from, kind: 'answer', bytes: made });
      return undefined;
    }),
    counted: 'answer-undecipherable',
    deafens: true,
  },
  {
    what: 'puts an offer of its own, under its own static key, in the place of every offer',
    onUnicast: onHandshake('offer', (unicast, relay) => ownOffer(unicast, relay) ?? unicast),
    counted: 'offer-wrong-key',
    deafens: true,
  },
  {
    what: 'sends offers back to where they came from',
    onUnicast: onHandshake('offer', (unicast, relay) => {
      relay.injections.push({ ...unicast, from: unicast.to, to: unicast.from, bytes: unicast.bytes.slice() });
      return undefined;
    }),
    counted: 'offer-malformed',
    deafens: true,
  },
  {
    what: 'swallows all that opens a circuit',
    onUnicast: (u) => (u.kind === 'circuit' ? undefined : u),
    deafens: true,
  },
  {
    what: 'names an index of its own in every circuit',
    onUnicast: onCircuit((message) => ('index' in message ? { ...message, index: 0x0badcafe } : message)),
    deafens: true,
  },
  {
    what: 'says of every circuit that it leads elsewhere',
    onUnicast: onCircuit((message) =>
      message.type === 'open' ? { ...message, path: message.path.toReversed() } : message,
    ),
    deafens: true,
  },
  {
    what: 'opens every circuit for another session',
    onUnicast: onCircuit((message) =>
      message.type === 'open' ? { ...message, session: '0011223344556677' } : message,
    ),
    deafens: true,
  },
  {
    what: 'ends circuits itself: it answers for the other end',
    onUnicast: (unicast, relay) => {
      if (unicast.kind !== 'circuit') return unicast;
      const message = parseCircuitMessage(unicast.bytes)!;
      if (message.type !== 'open') return unicast;
      const back = message.path[message.position - 2]!;
      const opened = encodeCircuitMessage({ type: 'opened', id: message.id, index: 0x0badcafe });
      relay.injections.push({ ...unicast, to: back, bytes: opened });
      return undefined;
    },
    deafens: true,
  },
  {
    what: 'refuses every circuit in the name of the other end',
    onUnicast: (unicast, relay) => {
      if (unicast.kind !== 'circuit') return unicast;
      const message = parseCircuitMessage(unicast.bytes)!;
      if (message.type !== 'opened') return unicast;
      const { id } = message;
      const refused = encodeCircuitMessage({ type: 'refused', id, position: 1, reason: 'no-session' });
      relay.injections.push({ ...unicast, bytes: encodeCircuitMessage({ type: 'close', id }) });
      return { ...unicast, bytes: refused };
    },
    deafens: true,
  },
];

/** A proper offer to the peer in the name of the true sender, except that nobody but the sender has its static key. */
function ownOffer(unicast: Unicast, relay: HostileRelay): Unicast | undefined {
  const [from, to] = [unicast.from, unicast.to].map((name) => relay.entries.get(name)?.entry);
  if (from === undefined || to === undefined) return undefined;
  const random = new SeededRandom(relay.touched);
  const local = {
    name: from.name,
    uid: fromHex(from.uid)!,
    staticKey: sodium.keyPairFromSeed(new Uint8Array(32).fill(3)),
    encrypted: true,
    bridgeMtu: 1_388,
    workers: 1,
    trusted: [],
    primitives: sodium,
    random,
    candidates: () => [],
  };
  const remote = { ...to, uid: fromHex(to.uid)!, staticKey: to.key };
  const { offer } = parseEnvelope(unicast.bytes)!;
  const { message } = new OutgoingOffer(local, remote, offer, 77);
  const bytes = encodeEnvelope({ from: from.name, to: to.name, offer, bytes: message! });
  return { ...unicast, bytes };
}

/** On datagrams, when the session is there and a circuit works. */
export const LATE_ATTACKS: readonly CountedAttack[] = [
  {
    what: 'flips a bit of every datagram',
    onDatagram: ({ to, bytes }, relay) => [{ to, bytes: flipOneBit(bytes, relay, 8) }],
    counted: 'tag-invalid',
    deafens: true,
  },
  { what: 'swallows every datagram', onDatagram: () => [], deafens: true },
  {
    what: 'sends every datagram three times',
    onDatagram: (datagram) => [datagram, { ...datagram, after: 20 }, { ...datagram, after: 15 * SECOND }],
    counted: 'counter-replayed',
    deafens: false,
  },
  {
    what: 'shuffles datagrams over half a second',
    onDatagram: ({ to, bytes }, relay) => [{ to, bytes, after: randomBelow(relay.random, 500) }],
    deafens: false,
  },
  {
    what: 'cuts every datagram short',
    onDatagram: ({ to, bytes }) => [{ to, bytes: bytes.slice(0, -1) }],
    counted: 'tag-invalid',
    deafens: true,
  },
  {
    what: 'puts the first part of one datagram before the last part of the next',
    onDatagram: (() => {
      let last: Uint8Array | undefined;
      return ({ to, bytes }: RelayedDatagram) => {
        const before = last ?? bytes;
        last = bytes;
        return [{ to, bytes: Uint8Array.of(...bytes.subarray(0, 16), ...before.subarray(16)) }];
      };
    })(),
    counted: 'tag-invalid',
    deafens: true,
  },
  {
    what: 'declares every datagram plain',
    onDatagram: ({ to, bytes }) => [{ to, bytes: bytes.with(0, 2) }],
    counted: 'cookie-invalid',
    deafens: true,
  },
];

/** Says of the peer `name` that its static key is another one, in all that it passes on of it. */
export function anotherKeyFor(name: string, key: Uint8Array): Attack {
  return {
    what: 'changes the key of a peer',
    onEntry: (encoded) => {
      if (encoded.entry.name !== name) return encoded;
      const entry = { ...encoded.entry, version: encoded.entry.version + 100, key };
      return { entry, body: encodeBody(entry) };
    },
  };
}
