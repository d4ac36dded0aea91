import { concatBytes, equalBytes, utf8 } from '../../core/bytes.ts';
import { pack, unpack } from '../../core/msgpack.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { SeededRandom } from '../../core/random.ts';
import { differingBuckets } from '../../core/bucket-digest.ts';
import { MalformedDelta } from '../../gossip/channel.ts';
import { encodeMessage, parseMessage } from '../../gossip/messages.ts';
import {
  decodeAnnouncement,
  decodeRequest,
  encodeAnnouncement,
  encodeRequest,
} from '../../gossip/topology-announcement.ts';
import { decodeDelta } from '../../gossip/topology-codec.ts';
import { encodeDelta } from '../../gossip/topology-delta.ts';
import { SchemaViolation } from '../../ipam/closed-schema.ts';
import { decodeEntries, encodeEntries } from '../../ipam/delta-codec.ts';
import { decodeMessage, encodeMessage as encodeIpam } from '../../ipam/messages.ts';
import { readStored, UnusableStore } from '../../ipam/stored-state.ts';
import { decodeRecord, encodeRecord } from '../../plugin/host/attachment-record.ts';
import {
  mayBePreamble,
  parsePreamble,
  encodePreamble,
  PREAMBLE_BYTES,
} from '../../router/crypto/preamble.ts';
import { IDENTITY_KEY, identityChange, loadIdentity } from '../../router/identity.ts';
import { encodeCircuitMessage, parseCircuitMessage } from '../../router/link/circuit-message.ts';
import { encodePayload, parsePayload } from '../../router/link/handshake-payload.ts';
import { MacsReceiver } from '../../router/link/macs.ts';
import { encodeEnvelope, parseEnvelope } from '../../router/link/offer-envelope.ts';
import { Pins } from '../../router/link/pins.ts';
import { loadTargets, targetsChange } from '../../router/stored-targets.ts';
import { Reassembly } from '../../router/switch/reassembly.ts';
import { REASSEMBLY_MESSAGES } from '../../router/switch/tuning.ts';
import { datagramFault, datagramIndex, datagramCounter } from '../../router/wire/datagram.ts';
import { frameDestination, frameHeaderBytes, isFrame, payloadType } from '../../router/wire/ethernet.ts';
import { LONGEST_ANSWER, mtuToAnswer, writeTooBig } from '../../router/wire/icmp.ts';
import {
  broadcastEpoch,
  broadcastOriginator,
  broadcastSequence,
  broadcastTtl,
  isBroadcast,
  linkMessageBytes,
  parseLinkMessage,
  writeLinkMessage,
} from '../../router/wire/inner.ts';
import { fakePrimitives } from '../sim/fake-primitives.ts';
import * as samples from './samples.ts';
import { OUTSIDE, promise, TAKEN, type Shape, type Target, type Verdict } from './target.ts';

/** A decoder whose values can be encoded again. */
interface Codec<T> {
  readonly name: string;
  readonly samples: readonly Uint8Array[];
  readonly shape: Shape;
  readonly weight?: number;
  /** The reason, or the value in an object of its own. */
  decode(input: Uint8Array): Verdict | { readonly value: T };
  encode(value: T): Uint8Array;
  /** What a value may encode to beyond its input, bytes. */
  readonly slack?: number;
}

/**
 * What was taken encodes to bytes that are taken again and encode to the same bytes: nothing that a decoder lets in
 * is refused or means something else further on. And a value is never much larger than its bytes.
 */
function codec<T>({ name, samples: valid, shape, weight = 500, slack = 64, ...coder }: Codec<T>): Target {
  const run = (input: Uint8Array): Verdict => {
    const first = coder.decode(input);
    if (typeof first === 'string') return first;
    const bytes = coder.encode(first.value);
    promise(bytes.length <= 10 * input.length + slack, `${bytes.length} bytes came of ${input.length}`);
    const second = coder.decode(bytes);
    if (typeof second === 'string') throw new Error(`what was taken is refused once encoded: ${second}`);
    promise(
      equalBytes(coder.encode(second.value), bytes),
      'a value changed on its way through its own bytes',
    );
    return TAKEN;
  };
  return { name, samples: valid, shape, weight, run };
}

const NOT_MSGPACK = `${OUTSIDE}no MessagePack`;
const MALFORMED = 'malformed';

/** `decode`, with its one class of errors as a reason. */
function caught<T>(kind: new () => Error, decode: () => T): Verdict | { readonly value: T } {
  try {
    return { value: decode() };
  } catch (error) {
    if (error instanceof kind) return error.message;
    throw error;
  }
}

function optional<T>(value: T | undefined, reason = MALFORMED): Verdict | { readonly value: T } {
  return value === undefined ? reason : { value };
}

const msgpack = codec({
  name: 'msgpack',
  samples: samples.controlMessages,
  shape: 'msgpack',
  decode: (input) => optional(unpack(input), NOT_MSGPACK),
  encode: pack,
});

const preamble = codec({
  name: 'preamble',
  samples: [
    encodePreamble({ versions: { min: 1, max: 1 }, password: true, nonce: new Uint8Array(32).fill(7) }),
    encodePreamble({ versions: { min: 0, max: 255 }, password: false, nonce: new Uint8Array(32) }),
  ],
  shape: 'bytes',
  decode: (input) => {
    const begun = input.subarray(0, PREAMBLE_BYTES);
    if (!mayBePreamble(begun)) return `${OUTSIDE}other magic`;
    return begun.length < PREAMBLE_BYTES ? 'incomplete' : { value: parsePreamble(begun) };
  },
  encode: encodePreamble,
});

const controlMessage = codec({
  name: 'control-message',
  samples: samples.controlMessages,
  shape: 'msgpack',
  weight: 1_000,
  decode: (input) => {
    const parsed = parseMessage(input);
    if (parsed.type === 'message') return { value: parsed.message };
    if (parsed.type === 'unknown') return 'unknown';
    return parsed.field.startsWith('not in') ? NOT_MSGPACK : parsed.field;
  },
  encode: encodeMessage,
});

function decodedGossip<T>(decode: () => T): Verdict | { readonly value: T } {
  const read = caught(MalformedDelta, decode);
  return typeof read === 'string' && read.startsWith('not in') ? NOT_MSGPACK : read;
}

const topologyDelta = codec({
  name: 'topology-delta',
  weight: 200,
  samples: samples.topologyDeltas,
  shape: 'msgpack',
  slack: 4_096,
  decode: (input) => decodedGossip(() => decodeDelta(input).flatMap((row) => row.decode() ?? [])),
  encode: (value) => encodeDelta(value.filter(({ entry }, i) => lastOf(value, entry.name) === i)),
});

const topologyAnnouncement = codec({
  name: 'topology-announcement',
  samples: samples.topologyAnnouncements,
  shape: 'msgpack',
  slack: 64,
  decode: (input) => decodedGossip(() => decodeAnnouncement(input)),
  encode: (value) =>
    encodeAnnouncement(
      value.map((each) => ({ ...each, uid: each.uidByte.toString(16).padStart(2, '0').repeat(8) })),
      value[0]?.place ?? 0,
    ),
});

const topologyRequest = codec({
  name: 'topology-request',
  samples: samples.topologyRequests,
  shape: 'bytes',
  decode: (input) => caught(MalformedDelta, () => decodeRequest(input)),
  encode: encodeRequest,
});

function lastOf(rows: readonly { readonly entry: { readonly name: PeerName } }[], name: PeerName): number {
  return rows.findLastIndex(({ entry }) => entry.name === name);
}

const ipamDelta = codec({
  name: 'ipam-delta',
  weight: 200,
  samples: samples.ipamDeltas,
  shape: 'msgpack',
  slack: 4_096,
  decode: (input) => {
    const read = caught(SchemaViolation, () => decodeEntries(input));
    return typeof read === 'string' && read.includes('no MessagePack') ? NOT_MSGPACK : read;
  },
  encode: encodeEntries,
});

const ipamMessage = codec({
  name: 'ipam-message',
  weight: 200,
  samples: samples.ipamUnicasts,
  shape: 'msgpack',
  slack: 4_096,
  decode: (input) => optional(decodeMessage(input), unpack(input) === undefined ? NOT_MSGPACK : MALFORMED),
  encode: encodeIpam,
});

const envelope = codec({
  name: 'offer-envelope',
  samples: samples.envelopes,
  shape: 'bytes',
  decode: (input) => optional(parseEnvelope(input), `${OUTSIDE}malformed`),
  encode: encodeEnvelope,
});

const handshakePayload = codec({
  name: 'handshake-payload',
  samples: samples.payloads,
  shape: 'bytes',
  decode: (input) => optional(parsePayload(input), input[0] === 1 ? MALFORMED : `${OUTSIDE}other format`),
  encode: encodePayload,
});

const circuitMessage = codec({
  name: 'circuit-message',
  samples: samples.circuitMessages,
  shape: 'bytes',
  decode: (input) => {
    const known = input.length >= 9 && input[0]! >= 1 && input[0]! <= 4;
    return optional(parseCircuitMessage(input), known ? MALFORMED : `${OUTSIDE}no such type`);
  },
  encode: encodeCircuitMessage,
});

const linkMessage = codec({
  name: 'link-message',
  samples: samples.linkInner,
  shape: 'bytes',
  decode: (input) => {
    const [kind, flags] = input;
    if (kind === undefined || flags === undefined || kind < 4 || kind > 11) return `${OUTSIDE}no such kind`;
    return optional(parseLinkMessage(kind, flags, input, 2, input.length - 2));
  },
  encode: (message) => {
    const out = new Uint8Array(linkMessageBytes(message));
    writeLinkMessage(message, out, 0);
    return out;
  },
});

/** Keeps its state over the inputs, so that parts of several lists meet. */
function macsReceiver(): Target {
  let receiver = new MacsReceiver();
  return {
    name: 'macs-receiver',
    samples: samples.linkInner.filter(([kind]) => kind === 9),
    shape: 'bytes',
    weight: 500,
    run: (input) => {
      const message = parseLinkMessage(input[0] ?? 0, 0, input, 2, input.length - 2);
      if (message?.kind !== 'macs') return `${OUTSIDE}malformed`;
      const { complete, acknowledge } = receiver.onPart(message);
      promise((complete?.length ?? 0) % 6 === 0, 'a list that is no MACs');
      promise(acknowledge === undefined || message.parts <= 64, 'a list beyond its bound');
      return complete === undefined && acknowledge === undefined && message.parts > 64
        ? 'too many parts'
        : TAKEN;
    },
    reset: () => void (receiver = new MacsReceiver()),
  };
}

function reassembly(): Target {
  const reasons: string[] = [];
  let machine = new Reassembly((reason) => void reasons.push(reason));
  let now = 0;
  return {
    name: 'reassembly',
    samples: samples.hotInner.filter(([kind]) => kind === 3),
    shape: 'bytes',
    weight: 500,
    run: (input) => {
      now += 1;
      reasons.length = 0;
      const whole = machine.add(samples.MALLORY, 0, input, 2, input.length - 2, now);
      machine.onTimeout(now);
      promise(reasons.length <= 2 * REASSEMBLY_MESSAGES, 'more was dropped than is kept');
      if (reasons[0] === 'fragment-malformed') return `${OUTSIDE}malformed`;
      return whole === undefined ? (reasons[0] ?? TAKEN) : TAKEN;
    },
    reset: () => {
      machine = new Reassembly((reason) => void reasons.push(reason));
    },
  };
}

const datagram: Target = {
  name: 'datagram-header',
  samples: [1, 2].map((type) => concatBytes(Uint8Array.of(type, 0, 0, 0, 5, 0, 0, 0), new Uint8Array(60))),
  shape: 'bytes',
  weight: 300,
  run: (input) => {
    const fault = datagramFault(input);
    if (fault !== undefined) return `${OUTSIDE}${fault}`;
    promise(Number.isInteger(datagramIndex(input)) && datagramCounter(input) <= 2 ** 64, 'no number');
    return TAKEN;
  },
};

const answer = new Uint8Array(LONGEST_ANSWER + 8);

/** The bytes around a frame are there too, and must not be touched. */
const tooBig: Target = {
  name: 'ethernet-ip-icmp',
  samples: samples.frames,
  shape: 'bytes',
  weight: 500,
  run: (input) => {
    if (!isFrame(input.length)) return `${OUTSIDE}too short`;
    const header = frameHeaderBytes(input, 0, input.length);
    promise(header <= input.length && payloadType(input, 0, header) <= 0xffff, 'a header beyond its frame');
    promise(frameDestination(input, 0) <= 0xffffffffffff, 'no MAC');
    const mtu = mtuToAnswer(input, 0, input.length, 1_200);
    if (mtu === 0) return TAKEN;
    answer.fill(0xee, LONGEST_ANSWER);
    const length = writeTooBig(input, 0, input.length, mtu, answer, 0);
    promise(length <= LONGEST_ANSWER && answer[LONGEST_ANSWER] === 0xee, 'an answer beyond its room');
    return TAKEN;
  },
};

const broadcast: Target = {
  name: 'broadcast-header',
  samples: samples.hotInner.filter(([kind]) => kind === 2).map((inner) => inner.subarray(2)),
  shape: 'bytes',
  weight: 300,
  run: (input) => {
    if (!isBroadcast(input.length)) return `${OUTSIDE}too short`;
    const sum = broadcastOriginator(input, 0) + broadcastSequence(input, 0) + broadcastTtl(input, 0);
    promise(Number.isSafeInteger(sum + broadcastEpoch(input, 0)), 'no number');
    return TAKEN;
  },
};

const buckets: Target = {
  name: 'bucket-digest',
  samples: [new Uint8Array(128), new Uint8Array(128).fill(5)],
  shape: 'bytes',
  weight: 50,
  run: (input) => {
    const mask = differingBuckets(new Uint8Array(128), input);
    promise(Number.isInteger(mask) && mask >= 0 && mask <= 0xffff, 'no mask');
    return input.length === 128 ? TAKEN : `${OUTSIDE}other length`;
  },
};

const record = {
  id: 'netns:x',
  target: '/run/netns/x',
  interface: 'ethwe',
  hostInterface: 'vethwe123456789',
  mac: '02:00:00:00:00:01',
  addresses: [],
  masquerade: [],
  pending: false,
};
const attachment = codec({
  name: 'stored-attachment',
  samples: [encodeRecord(record), pack(['a', 'b', 'c', 'd', 'e', ['10.32.0.1/12'], ['::1/128'], true])],
  shape: 'msgpack',
  weight: 100,
  decode: (input) => optional(decodeRecord(input), unpack(input) === undefined ? NOT_MSGPACK : MALFORMED),
  encode: encodeRecord,
});

const pins = codec({
  name: 'stored-pins',
  samples: [pinsOf(1).encode(0), pinsOf(3).encode(9 * 3_600_000), new Pins().encode(0)],
  shape: 'bytes',
  weight: 100,
  decode: (input) =>
    optional(Pins.decode(input, 0), input[0] === 1 || input[0] === 2 ? MALFORMED : `${OUTSIDE}other format`),
  encode: (value) => value.encode(0),
});

function pinsOf(count: number): Pins {
  const pins = new Pins();
  for (let i = 0; i < count; i++) pins.check(samples.peer(i + 1), new Uint8Array(32).fill(i), 0);
  for (let i = 1; i < count; i++) pins.onGone(samples.peer(i + 1), 0);
  return pins;
}

const targets = codec({
  name: 'stored-targets',
  samples: [
    targetsChange({
      targets: ['192.0.2.1', 'host:7000'],
      candidates: [
        { name: samples.MALLORY, addresses: [{ host: '192.0.2.66', port: 6783 }] as never, remaining: 1 },
      ],
    }).value!,
    utf8(
      '{"targets":["a","b"],"candidates":[{"name":"::1","addresses":["192.0.2.1:6783"]}],"__proto__":{"x":1}}',
    ),
    utf8('[]'),
  ],
  shape: 'text',
  weight: 50,
  decode: (input) => ({ value: loadTargets(new Map([['targets', input]])) }),
  encode: (value) => targetsChange(value).value!,
});

const identity: Target = {
  name: 'stored-identity',
  samples: [
    identityChange({
      name: samples.SELF,
      staticKey: fakePrimitives.keyPairFromSeed(new Uint8Array(32)),
      incarnation: 5,
      generation: new Uint8Array(8),
    }).value!,
  ],
  shape: 'bytes',
  weight: 50,
  run: (input) => {
    const stored = new Map([[IDENTITY_KEY, input]]);
    const loaded = loadIdentity(stored, { name: undefined }, fakePrimitives, new SeededRandom(1));
    if ('error' in loaded) return input[0] === 1 ? MALFORMED : `${OUTSIDE}other format`;
    const again = new Map(loaded.changes.map(({ key, value }) => [key, value!]));
    promise(
      !('error' in loadIdentity(again, { name: undefined }, fakePrimitives, new SeededRandom(1))),
      'unstable',
    );
    return TAKEN;
  },
};

/** Each key of the store in turn gets the input. */
function storedIpam(key: string, valid: readonly Uint8Array[]): Target {
  return {
    name: `stored-${key}`,
    samples: valid,
    shape: 'msgpack',
    weight: 50,
    run: (input) => {
      const read = caught(UnusableStore as new () => Error, () => readStored(new Map([[key, input]])));
      if (typeof read !== 'string') return TAKEN;
      return read.includes('no MessagePack') ? NOT_MSGPACK : read;
    },
  };
}

export function codecTargets(): Target[] {
  return [
    ...[
      msgpack,
      preamble,
      controlMessage,
      topologyDelta,
      topologyAnnouncement,
      topologyRequest,
      buckets,
      ipamDelta,
      ipamMessage,
    ],
    ...[envelope, handshakePayload, circuitMessage, linkMessage, macsReceiver(), reassembly()],
    ...[datagram, tooBig, broadcast, attachment, pins, targets, identity],
    storedIpam('ipam/meta', [pack([1, '10.32.0.0/12', samples.SELF, new Uint8Array(8), 7])]),
    storedIpam('ipam/member/x', [encodeEntries([samples.member])]),
    storedIpam('ipam/take-over/x', samples.takeOvers),
    storedIpam('ipam/ring', [samples.ringDelta]),
    storedIpam('ipam/voter', [encodeEntries([samples.voter])]),
    storedIpam('ipam/allocation/netns:x', [
      pack([
        [Uint8Array.of(10, 32, 0, 1), 12],
        [new Uint8Array(16), 64],
      ]),
    ]),
  ];
}
