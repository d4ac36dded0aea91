import { parseCidr, parseEndpoint } from '../../core/address.ts';
import { fromHex } from '../../core/bytes.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { SeededRandom } from '../../core/random.ts';
import { encodeMessage, type Message } from '../../gossip/messages.ts';
import { encodeBody } from '../../gossip/topology-codec.ts';
import { encodeAnnouncement, encodeRequest } from '../../gossip/topology-announcement.ts';
import { encodeDelta } from '../../gossip/topology-delta.ts';
import { MAX_INCARNATION, MAX_VERSION, type TopologyEntry } from '../../gossip/topology-entry.ts';
import { encodeEntries } from '../../ipam/delta-codec.ts';
import type { Entry, MemberEntry, RingEntry, VoterEntry } from '../../ipam/entries.ts';
import { encodeMessage as encodeIpam, type Message as IpamMessage } from '../../ipam/messages.ts';
import { AddressRange } from '../../ipam/range.ts';
import { ringReplies } from '../../ipam/ring-reply.ts';
import { takeOverChange } from '../../ipam/stored-state.ts';
import { seedRing } from '../../ipam/seed.ts';
import { encodeCircuitMessage } from '../../router/link/circuit-message.ts';
import { encodePayload } from '../../router/link/handshake-payload.ts';
import { OutgoingOffer } from '../../router/link/offer-handshake.ts';
import { encodeEnvelope } from '../../router/link/offer-envelope.ts';
import type { Identity } from '../../router/identity.ts';
import { writeLinkMessage, type LinkMessage } from '../../router/wire/inner.ts';
import { fakePrimitives } from '../sim/fake-primitives.ts';
import { ethernet, ipv4, ipv6 } from '../router/wire/frames.ts';

/** Valid messages of every kind, from `MALLORY` to `SELF`, for decoders and machines alike. */
export const SELF = peer(1);
export const MALLORY = peer(66);
export const CLUSTER = '0123456789abcdef0123456789abcdef';
export const GENERATION = '00000000000000aa';
const ID = '1122334455667788';

export function peer(number: number): PeerName {
  return `00:00:00:00:00:${number.toString(16).padStart(2, '0')}` as PeerName;
}

const endpoints = [parseEndpoint('192.0.2.66', 6783)!, parseEndpoint('[2001:db8::66]:7000', 6783)!];

export const hello: Extract<Message, { type: 'hello' }> = {
  type: 'hello',
  name: MALLORY,
  nickname: 'mallory',
  uid: '00112233445566ff',
  incarnation: 1,
  version: '0.1.0',
  replaces: new Uint8Array(0),
  port: 6783,
  acceptsInbound: true,
  seenAt: endpoints[0]!,
};

const selfKey = fakePrimitives.keyPairFromSeed(new Uint8Array(32).fill(1));
const malloryKey = fakePrimitives.keyPairFromSeed(new Uint8Array(32).fill(66));

/** The node that all of this is sent to. */
export const self: Identity & { readonly uid: Uint8Array } = {
  name: SELF,
  staticKey: selfKey,
  incarnation: 1,
  generation: new Uint8Array(8).fill(1),
  uid: new Uint8Array(8).fill(0x11),
};

function entry(name: PeerName, change: Partial<TopologyEntry> = {}): TopologyEntry {
  return {
    name,
    nickname: 'host',
    incarnation: 2,
    version: 3,
    uid: hello.uid,
    key: malloryKey.public,
    generation: GENERATION,
    addresses: endpoints,
    acceptsInbound: true,
    neighbours: [SELF, peer(3)].map((other) => ({ name: other, established: true, direct: true })),
    capabilities: ['data', 'ipam'],
    bridgeMtu: 1_388,
    info: { 'ipam-cluster': '' },
    ...change,
  };
}

function delta(...entries: TopologyEntry[]): Uint8Array {
  return encodeDelta(entries.map((one) => ({ entry: one, body: encodeBody(one) })));
}

export const topologyDeltas: readonly Uint8Array[] = [
  delta(entry(MALLORY)),
  delta(entry(peer(3)), entry(MALLORY)),
  delta(entry(SELF, { uid: 'ffffffffffffffff', incarnation: MAX_INCARNATION, version: MAX_VERSION - 1 })),
  delta(entry(peer(4), { neighbours: [], info: {}, capabilities: [], addresses: [] })),
  delta(
    entry(MALLORY, { neighbours: Array.from({ length: 300 }, (_, i) => neighbour(i)) }),
    ...[5, 6, 7, 8].map((i) => entry(peer(i))),
  ),
];

export const topologyAnnouncements: readonly Uint8Array[] = [
  encodeAnnouncement([], 0),
  encodeAnnouncement(
    [entry(peer(3), { incarnation: MAX_INCARNATION, version: MAX_VERSION }), entry(MALLORY)],
    5,
  ),
  encodeAnnouncement(
    Array.from({ length: 40 }, (_, i) => entry(peer(i))).sort((a, b) => (a.name < b.name ? -1 : 1)),
    7,
  ),
];

export const topologyRequests: readonly Uint8Array[] = [
  encodeRequest([{ name: MALLORY, bodyHash: undefined }]),
  encodeRequest([
    { name: SELF, bodyHash: Uint8Array.of(1, 2, 3, 4) },
    { name: MALLORY, bodyHash: Uint8Array.of(0, 0, 0, 1) },
  ]),
];

function neighbour(i: number): TopologyEntry['neighbours'][number] {
  const name = `00:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`;
  return { name: name as PeerName, established: i % 2 === 0, direct: i % 3 === 0 };
}

const range = new AddressRange(parseCidr('10.32.0.0/16')!);
const six = new AddressRange(parseCidr('2001:db8::/76')!);
const ring: RingEntry = {
  type: 'ring',
  clusterId: CLUSTER,
  range,
  ring: seedRing(range, [SELF, MALLORY, peer(3)]).ring,
};
const ballot = { round: 3, proposer: MALLORY };
const outcome = { clusterId: CLUSTER, owners: [{ owner: MALLORY, generation: GENERATION }] };
export const voter: VoterEntry = {
  type: 'voter',
  range: range.text,
  name: MALLORY,
  generation: GENERATION,
  version: 4,
  voters: 2,
  wanted: true,
  promised: ballot,
  accepted: { ballot, outcome },
};
export const member: MemberEntry = {
  type: 'member',
  name: MALLORY,
  generation: GENERATION,
  life: 3,
  run: ID,
  version: 2,
  nickname: 'host2',
  clusterId: CLUSTER,
  conflicts: [
    { start: 1, end: 2 },
    { start: 7, end: 300 },
  ],
};
const entries: readonly Entry[] = [
  ring,
  { type: 'hint', name: MALLORY, version: 2 ** 40, free: 7 },
  voter,
  member,
];

export const ringDelta = encodeEntries([ring]);
const victim = { owner: MALLORY, generation: GENERATION };
export const takeOvers: readonly Uint8Array[] = [false, true].map((now) => {
  const takeOver = { id: ID, victim, ring, waiting: [{ ...victim, owner: peer(3) }], now, strict: !now };
  return takeOverChange(ID, takeOver).value!;
});
export const ipamDeltas: readonly Uint8Array[] = [
  encodeEntries(entries),
  ringDelta,
  encodeEntries([{ ...voter, voters: 0, wanted: false, promised: undefined, accepted: undefined }]),
  encodeEntries([{ ...ring, range: six, ring: seedRing(six, [SELF]).ring }]),
  encodeEntries([]),
];

const span = { start: 0, end: 256 };
const ipamMessages: readonly IpamMessage[] = [
  { type: 'space-request', id: ID, clusterId: CLUSTER, generation: GENERATION, span, want: 'any' },
  { type: 'granted', id: ID, ring },
  { type: 'denied', id: ID, reason: 'in-use', holder: 'netns:x' },
  { type: 'ring-request', id: ID, part: 0 },
  ...ringReplies(ID, 0, ring, [member]),
  { type: 'take-over', id: ID, ring },
  { type: 'taken', id: ID, member },
  { type: 'taken', id: ID, member: undefined },
  { type: 'heir-request', id: ID, clusterId: CLUSTER },
  { type: 'heir-answer', id: ID, willing: true },
  { type: 'bequest', id: ID, ring },
  { type: 'inherited', id: ID },
  { type: 'survey', id: ID },
  {
    type: 'survey-reply',
    id: ID,
    clusterId: CLUSTER,
    generation: GENERATION,
    ring: 7,
    used: member.conflicts,
    quarantined: 4,
  },
];
export const ipamUnicasts = ipamMessages.map(encodeIpam);

export const payloads: readonly Uint8Array[] = [
  encodePayload({
    encrypted: false,
    offer: 7,
    index: 0xfedcba90,
    bridgeMtu: 1_388,
    workers: 1,
    cookie: Uint8Array.from({ length: 16 }, (_, i) => i),
    candidates: endpoints,
    trusted: [parseCidr('192.0.2.0/24')!, parseCidr('2001:db8::/32')!],
  }),
  encodePayload({
    encrypted: true,
    offer: 2 ** 40 + 5,
    index: 16,
    bridgeMtu: 65_535,
    workers: 16,
    cookie: new Uint8Array(16),
    candidates: [],
    trusted: [],
  }),
];

/** An offer that the node takes, once it knows our entry. */
const offer = new OutgoingOffer(
  {
    name: MALLORY,
    uid: fromHex(hello.uid)!,
    staticKey: malloryKey,
    encrypted: false,
    bridgeMtu: 1_388,
    workers: 1,
    trusted: [],
    primitives: fakePrimitives,
    random: new SeededRandom(66),
    candidates: () => endpoints,
  },
  { name: SELF, incarnation: 1, uid: self.uid, staticKey: selfKey.public, addresses: [] },
  7,
  99,
);

export const envelopes: readonly Uint8Array[] = [
  encodeEnvelope({ from: MALLORY, to: SELF, offer: 7, bytes: offer.message! }),
  encodeEnvelope({ from: MALLORY, to: SELF, offer: 7, bytes: new Uint8Array(200).fill(3) }),
  encodeEnvelope({ from: MALLORY, to: SELF, offer: 2 ** 53 - 1, bytes: Uint8Array.of(1) }),
];

export const circuitMessages: readonly Uint8Array[] = [
  encodeCircuitMessage({
    type: 'open',
    id: ID,
    session: ID,
    position: 1,
    index: 5,
    path: [MALLORY, SELF, peer(3)],
  }),
  encodeCircuitMessage({ type: 'opened', id: ID, index: 9 }),
  encodeCircuitMessage({ type: 'refused', id: ID, position: 1, reason: 'no-session' }),
  encodeCircuitMessage({ type: 'close', id: ID }),
];

function unicast(kind: string, bytes: Uint8Array, to = SELF): Message {
  return { type: 'unicast', from: MALLORY, to, ttl: 64, kind, bytes };
}

/** Every message that a neighbour may send after its hello. */
export const neighbourMessages: readonly Uint8Array[] = [
  ...topologyDeltas.map((one): Message => ({ type: 'gossip', channel: 'topology', delta: one })),
  ...topologyAnnouncements.map((announcement): Message => ({
    type: 'have',
    channel: 'topology',
    announcement,
  })),
  ...topologyRequests.map((request): Message => ({ type: 'ask', channel: 'topology', request })),
  ...ipamDeltas.map((one): Message => ({ type: 'gossip', channel: 'ipam', delta: one })),
  { type: 'gossip', channel: 'later', delta: Uint8Array.of(1, 2, 3) } as const,
  { type: 'digest', roots: [...rootsOf('topology'), ...rootsOf('ipam')] } as const,
  { type: 'buckets', channel: 'topology', buckets: new Uint8Array(128), mutual: false } as const,
  { type: 'buckets', channel: 'ipam', buckets: new Uint8Array(128).fill(1), mutual: true } as const,
  { type: 'want', channel: 'topology', buckets: 0xffff } as const,
  { type: 'want', channel: 'ipam', buckets: 0xffff } as const,
  ...ipamUnicasts.map((bytes) => unicast('ipam', bytes)),
  ...envelopes.map((bytes) => unicast('offer', bytes)),
  ...envelopes.map((bytes) => unicast('answer', bytes)),
  ...circuitMessages.map((bytes) => unicast('circuit', bytes)),
  unicast('name-ping', fromHex(hello.uid)!),
  unicast('name-pong', fromHex(hello.uid)!),
  unicast('later', Uint8Array.of(1), peer(3)),
  { type: 'heartbeat' } as const,
  { type: 'spare' } as const,
  { type: 'keep' } as const,
].map(encodeMessage);

function rootsOf(channel: string) {
  return [{ channel, root: new Uint8Array(8) }];
}

export const controlMessages: readonly Uint8Array[] = [
  encodeMessage(hello),
  ...neighbourMessages,
  encodeMessage({ type: 'bye', reason: 'stopped', sentence: 'the daemon was stopped' }),
  encodeMessage({ type: 'remake' }),
];

const token = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const linkMessages: readonly LinkMessage[] = [
  { kind: 'heartbeat', path: 1, token },
  { kind: 'probe', path: 2, token },
  { kind: 'heartbeat-ack', path: 1, token, plainWelcome: true },
  { kind: 'probe-ack', path: 2, token, plainWelcome: false },
  { kind: 'rekey', phase: 1, step: 0, bytes: new Uint8Array(0) },
  { kind: 'rekey', phase: 1, step: 1, bytes: new Uint8Array(96) },
  { kind: 'rekey', phase: 1, step: 2, bytes: new Uint8Array(48) },
  { kind: 'macs', version: 1, part: 0, parts: 1, macs: Uint8Array.of(2, 0, 0, 0, 0, 66, 2, 0, 0, 0, 0, 67) },
  { kind: 'macs', version: 2, part: 1, parts: 3, macs: new Uint8Array(60).fill(4) },
  { kind: 'macs-ack', version: 1 },
  { kind: 'close', reason: 1 },
];

/** Inner messages of links, kind and flags first. */
export const linkInner: readonly Uint8Array[] = linkMessages.map((message) => {
  const out = new Uint8Array(400);
  return out.slice(0, writeLinkMessage(message, out, 0, 60));
});

const MAC = 0x020000000001;
const udp = new Uint8Array(100).fill(7);
const quoting = ipv4(Uint8Array.of(8, 0, 0, 0, 1, 2, 3, 4), { protocol: 1 });

/** Ethernet frames. */
export const frames: readonly Uint8Array[] = [
  ethernet(MAC, 0x020000000042, 0x0800, ipv4(new Uint8Array(1_500).fill(7))),
  ethernet(MAC, 0x020000000042, 0x86dd, ipv6(new Uint8Array(1_500).fill(7))),
  ethernet(MAC, 0x020000000042, 0x0800, ipv4(udp), 2),
  ethernet(
    MAC,
    0x020000000042,
    0x86dd,
    ipv6(Uint8Array.of(17, 0, 0, 0, 0, 0, 0, 0, ...udp), { next: 60 }),
    1,
  ),
  ethernet(MAC, 0x020000000042, 0x0800, quoting),
  ethernet(
    MAC,
    0x020000000042,
    0x86dd,
    ipv6(Uint8Array.of(128, 0, 0, 0, ...new Uint8Array(1_400)), { next: 58 }),
  ),
  ethernet(0xffffffffffff, 0x020000000042, 0x0806, new Uint8Array(46)),
];

/** Inner messages of the hot path: frames, a broadcast, fragments of a frame. */
export const hotInner: readonly Uint8Array[] = [
  ...frames.map((frame) => Uint8Array.of(1, 0, ...frame)),
  Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 66, 1, 0, 0, 0, 4, 1, ...frames[6]!),
  ...[0, 1].map((half) => fragment(9, half)),
];

/** Half of an inner message of 62 bytes. */
function fragment(id: number, half: number): Uint8Array {
  const whole = Uint8Array.of(1, 0, ...frames[6]!);
  const cut = whole.length >> 1;
  const bytes = half === 0 ? whole.subarray(0, cut) : whole.subarray(cut);
  return Uint8Array.of(3, 0, id, 0, 0, 0, half * cut, 0, whole.length, 0, ...bytes);
}
