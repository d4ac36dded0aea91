import { formatCidr, formatEndpoint, parseCidr, parseEndpoint, type Endpoint } from '../../core/address.ts';
import { concatBytes, fromHex, toHex, utf8 } from '../../core/bytes.ts';
import { Counters } from '../../core/counters.ts';
import { parsePeerName } from '../../core/peer-name.ts';
import type { RandomSource } from '../../core/random.ts';
import { encodeMessage, type Message } from '../../gossip/messages.ts';
import type { CryptoResult } from '../../gossip/secure-channel.ts';
import { encodeBody } from '../../gossip/topology-codec.ts';
import { encodeDelta } from '../../gossip/topology-delta.ts';
import type { TopologyEntry } from '../../gossip/topology-entry.ts';
import { CHANNEL_ID, confirmationTags, connectionId, streamKeys } from '../../router/crypto/channel-keys.ts';
import { generator, sampleScalar } from '../../router/crypto/cpace.ts';
import { SealedFrames } from '../../router/crypto/frame-stream.ts';
import { linkPrologue, rekeyPrologue } from '../../router/crypto/noise-prologue.ts';
import { encodePreamble } from '../../router/crypto/preamble.ts';
import { MemoryEngine } from '../../router/engine/memory.ts';
import { SOURCE_SCRATCH, SendPlan } from '../../router/engine/port.ts';
import { encodeCircuitMessage, type CircuitMessage } from '../../router/link/circuit-message.ts';
import { encodePayload } from '../../router/link/handshake-payload.ts';
import { encodeEnvelope } from '../../router/link/offer-envelope.ts';
import { OutgoingOffer, openOffer, type LocalEnd } from '../../router/link/offer-handshake.ts';
import { RekeyHandshakes } from '../../router/link/rekey-handshake.ts';
import { sessionName } from '../../router/link/session-name.ts';
import type { ToData } from '../../router/node-messages.ts';
import { rewriteDatagramIndex } from '../../router/wire/datagram.ts';
import {
  writeBroadcastPrefix,
  writeFragmentPrefix,
  writeFramePrefix,
  writeLinkMessage,
  type LinkMessage,
} from '../../router/wire/inner.ts';
import { chacha } from '../router/engine/chacha.ts';
import { playedSodium as sodium } from '../router/crypto/played-primitives.ts';

/**
 * The protocol on fixed inputs, as the product computes it. test/vectors/protocol.json holds the same, for programs that
 * are not this one: bytes as hexadecimal digits, secrets and "random" bytes among the inputs.
 */
export type Vector = string | number | boolean | readonly Vector[] | { readonly [name: string]: Vector };

/** `length` bytes that begin with `first` and count up: nothing random, and easy to tell apart. */
export function bytesFrom(first: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => first + i);
}

const A = parsePeerName('02:00:00:00:00:0a')!;
const B = parsePeerName('02:00:00:00:00:0b')!;
const R = parsePeerName('02:00:00:00:00:0c')!;
const UID_A = bytesFrom(0xa0, 8);
const UID_B = bytesFrom(0xb0, 8);
/** A frame of the experimental ethertype from 02:aa:00:00:00:01 to 02:aa:00:00:00:02. */
const FRAME = concatBytes(fromHex('02aa0000000202aa0000000188b5')!, utf8('payload'));

export async function protocolVectors(): Promise<Readonly<Record<string, Vector>>> {
  const inner = innerVectors();
  return {
    about:
      'weave-ts protocol 1; made by dist/test/vectors/write.js, checked by test/vectors/protocol.test.ts',
    preamble: preambleVectors(),
    cpace: cpaceVectors(),
    stream: streamVectors(),
    'noise-ik': noiseVectors(),
    inner,
    datagram: await datagramVectors(inner),
    circuit: circuitVectors(),
    gossip: gossipVectors(),
  };
}

const PREAMBLE_A = { versions: { min: 1, max: 1 }, password: true, nonce: bytesFrom(0x00, 32) };
const PREAMBLE_B = { versions: { min: 1, max: 1 }, password: true, nonce: bytesFrom(0x20, 32) };

function preambleVectors(): Vector {
  const cases = [PREAMBLE_A, PREAMBLE_B, { ...PREAMBLE_A, versions: { min: 1, max: 3 }, password: false }];
  return cases.map((preamble) => ({
    minVersion: preamble.versions.min,
    maxVersion: preamble.versions.max,
    password: preamble.password,
    nonce: toHex(preamble.nonce),
    bytes: toHex(encodePreamble(preamble)),
  }));
}

/** A dials with "correct horse"; B accepts "battery staple" at 0 and "correct horse" at 1. */
const DIALLED = 'correct horse';
const ACCEPTED = ['battery staple', DIALLED];

function cpaceVectors(): { readonly [name: string]: Vector } {
  const [preambleA, preambleB] = [encodePreamble(PREAMBLE_A), encodePreamble(PREAMBLE_B)];
  const sid = connectionId(sodium, PREAMBLE_A.nonce, PREAMBLE_B.nonce);
  const common = { channelId: CHANNEL_ID, sid };
  const seedA = bytesFrom(0x40, 64);
  const started = sodium.runJob({ type: 'cpace-start', password: utf8(DIALLED), seed: seedA, ...common });
  const { element: elementA } = started as Extract<CryptoResult, { type: 'cpace-started' }>;
  const answers = ACCEPTED.map((password, index) => {
    const seed = bytesFrom(0x80 + 0x40 * index, 64);
    const associatedB = concatBytes(preambleB, Uint8Array.of(index));
    const job = { type: 'cpace-answer', password: utf8(password), seed, elementA, ...common } as const;
    const result = sodium.runJob({ ...job, associatedA: preambleA, associatedB });
    const { element, isk } = result as Extract<CryptoResult, { type: 'cpace-answered' }>;
    const a = { element: elementA, associated: preambleA };
    const tags = confirmationTags(sodium, sid, isk, a, { element, associated: associatedB });
    return { password, index, seed, element, isk, tags };
  });
  const offers = answers.map(({ element, tags }) => concatBytes(element, tags.b));
  const right = answers[1]!;
  return {
    channelId: toHex(CHANNEL_ID),
    preambleA: toHex(preambleA),
    preambleB: toHex(preambleB),
    sid: toHex(sid),
    dialler: {
      password: DIALLED,
      seed: toHex(seedA),
      scalar: toHex(sampleScalar(seedA)),
      generator: toHex(generator(utf8(DIALLED), CHANNEL_ID, sid)),
      element: toHex(elementA),
    },
    acceptor: answers.map(({ password, index, seed, element, isk, tags }) => ({
      password,
      index,
      seed: toHex(seed),
      scalar: toHex(sampleScalar(seed)),
      generator: toHex(generator(utf8(password), CHANNEL_ID, sid)),
      element: toHex(element),
      isk: toHex(isk),
      tagA: toHex(tags.a),
      tagB: toHex(tags.b),
    })),
    sentByDialler: toHex(concatBytes(preambleA, elementA, Uint8Array.of(1, right.index), right.tags.a)),
    sentByAcceptor: toHex(concatBytes(preambleB, Uint8Array.of(offers.length), ...offers)),
  };
}

function streamVectors(): Vector {
  const isk = bytesFrom(0x10, 64);
  const { aToB, bToA } = streamKeys(sodium, isk);
  const header = bytesFrom(0x70, 24);
  const messages = [encodeMessage({ type: 'heartbeat' }), new Uint8Array(0), bytesFrom(0, 100)];
  const keys = { aToB: toHex(aToB), bToA: toHex(bToA) };
  const frames = new SealedFrames(sodium, { send: aToB, receive: bToA }, header);
  const sealed = messages.map((message) => ({
    message: toHex(message),
    frame: toHex(frames.encode(message)),
  }));
  frames.wipe();
  return { isk: toHex(isk), ...keys, header: toHex(header), sentByDialler: sealed };
}

/** Hands out what it was given, in order. */
class Script implements RandomSource {
  readonly #draws: Uint8Array[];

  constructor(...draws: Uint8Array[]) {
    this.#draws = draws;
  }

  bytes(length: number): Uint8Array {
    const next = this.#draws.shift();
    if (next?.length !== length) throw new Error(`${length} bytes were not foreseen`);
    return next.slice();
  }
}

export const NOISE_SECRETS = {
  initiatorStatic: bytesFrom(0x01, 32),
  responderStatic: bytesFrom(0x31, 32),
  initiatorEphemeral: bytesFrom(0x61, 32),
  responderEphemeral: bytesFrom(0x91, 32),
  initiatorRekeyEphemeral: bytesFrom(0xb1, 32),
  responderRekeyEphemeral: bytesFrom(0xd1, 32),
};
const OFFER_ID = 7;
const [INDEX_A, INDEX_B] = [0x0a0b0c00, 0x1a2b3c40];
const [COOKIE_A, COOKIE_B] = [bytesFrom(0xa0, 16), bytesFrom(0xb0, 16)];

function localEnd(initiator: boolean): LocalEnd {
  const secrets = NOISE_SECRETS;
  const random = initiator
    ? new Script(COOKIE_A, secrets.initiatorEphemeral, secrets.initiatorRekeyEphemeral)
    : new Script(COOKIE_B, secrets.responderEphemeral, secrets.responderRekeyEphemeral);
  return {
    name: initiator ? A : B,
    uid: initiator ? UID_A : UID_B,
    staticKey: sodium.keyPairFromSeed(initiator ? secrets.initiatorStatic : secrets.responderStatic),
    encrypted: true,
    bridgeMtu: initiator ? 1_388 : 1_300,
    workers: initiator ? 1 : 2,
    trusted: initiator ? [parseCidr('192.0.2.0/24')!] : [],
    primitives: sodium,
    random,
    candidates: () =>
      (initiator ? ['192.0.2.1:6783', '[2001:db8::1]:6783'] : ['192.0.2.2:6783']).map(endpoint),
  };
}

const endpoint = (text: string) => parseEndpoint(text, 6_783)!;

function noiseVectors(): { readonly [name: string]: Vector } {
  const [a, b] = [localEnd(true), localEnd(false)];
  const remote = ({ name, uid, staticKey }: LocalEnd) => {
    return { name, uid, incarnation: 1, staticKey: staticKey.public, addresses: [] };
  };
  const outgoing = new OutgoingOffer(a, remote(b), OFFER_ID, INDEX_A);
  const opened = openOffer(b, remote(a), OFFER_ID, outgoing.message!);
  const answer = typeof opened === 'string' ? undefined : opened.answer(INDEX_B);
  const made = outgoing.readAnswer(answer!.message);
  if (typeof made === 'string') throw new Error(made);
  const { keys } = made.material;
  const hash = made.handshakeHash;
  const payload = (end: LocalEnd, index: number, cookie: Uint8Array) =>
    toHex(encodePayload({ ...end, offer: OFFER_ID, index, cookie, candidates: end.candidates() }));
  const prologue = linkPrologue({
    initiatorName: A,
    initiatorUid: UID_A,
    responderName: B,
    responderUid: UID_B,
  });
  return {
    ...Object.fromEntries(Object.entries(NOISE_SECRETS).map(([name, secret]) => [name, toHex(secret)])),
    initiatorStaticPublic: toHex(a.staticKey.public),
    responderStaticPublic: toHex(b.staticKey.public),
    initiator: { ...endVector(a), index: INDEX_A, cookie: toHex(COOKIE_A) },
    responder: { ...endVector(b), index: INDEX_B, cookie: toHex(COOKIE_B) },
    offerId: OFFER_ID,
    prologue: toHex(prologue),
    offerPayload: payload(a, INDEX_A, COOKIE_A),
    message1: toHex(outgoing.message!),
    offerEnvelope: toHex(encodeEnvelope({ from: A, to: B, offer: OFFER_ID, bytes: outgoing.message! })),
    answerPayload: payload(b, INDEX_B, COOKIE_B),
    message2: toHex(answer!.message),
    answerEnvelope: toHex(encodeEnvelope({ from: B, to: A, offer: OFFER_ID, bytes: answer!.message })),
    handshakeHash: toHex(hash),
    sessionName: sessionName(hash),
    keysOfInitiator: lanesVector(keys!.send),
    keysOfResponder: lanesVector(keys!.receive),
    rekey: rekeyVectors(a, b, hash),
  };
}

/** One key per lane. */
function lanesVector(keys: Uint8Array): readonly string[] {
  return [0, 1].map((lane) => toHex(keys.subarray(32 * lane, 32 * lane + 32)));
}

function endVector(end: LocalEnd) {
  const { name, uid, encrypted, bridgeMtu, workers } = end;
  return {
    name,
    uid: toHex(uid),
    encrypted,
    bridgeMtu,
    workers,
    candidates: end.candidates().map(formatEndpoint),
    trusted: end.trusted.map(formatCidr),
  };
}

function rekeyVectors(a: LocalEnd, b: LocalEnd, handshakeHash: Uint8Array): Vector {
  const counters = new Counters<never>();
  const [initiator, responder] = [a, b].map((end) => new RekeyHandshakes({ ...end, counters })) as [
    RekeyHandshakes,
    RekeyHandshakes,
  ];
  initiator.onSession(B, 1, { initiator: true, lanes: 2, remoteStatic: b.staticKey.public, handshakeHash });
  responder.onSession(A, 1, { initiator: false, lanes: 2, remoteStatic: a.staticKey.public, handshakeHash });
  initiator.onSessionLive(B, 1);
  responder.onSessionLive(A, 1);
  initiator.onDue(B, 1, 1);
  const step1 = bytesOf(initiator.drain());
  responder.onReceived(A, 1, 1, 1, step1);
  const step2 = bytesOf(responder.drain());
  initiator.onReceived(B, 1, 1, 2, step2);
  const made = initiator.drain().find((message) => message.type === 'rekey-keys')!;
  return {
    phase: 1,
    prologue: toHex(rekeyPrologue(handshakeHash, 1)),
    step1: toHex(step1),
    step2: toHex(step2),
    keysOfInitiator: lanesVector(made.keys.send),
    keysOfResponder: lanesVector(made.keys.receive),
  };
}

function bytesOf(messages: readonly ToData[]): Uint8Array {
  return messages.find((message) => message.type === 'rekey-message')!.bytes;
}

const TOKEN = bytesFrom(0x10, 8);
const LINK_MESSAGES: readonly LinkMessage[] = [
  { kind: 'heartbeat', path: 5, token: TOKEN },
  { kind: 'heartbeat-ack', path: 5, token: TOKEN, plainWelcome: false },
  { kind: 'probe', path: 6, token: TOKEN },
  { kind: 'probe-ack', path: 6, token: TOKEN, plainWelcome: true },
  { kind: 'rekey', phase: 1, step: 0, bytes: new Uint8Array(0) },
  { kind: 'rekey', phase: 1, step: 1, bytes: bytesFrom(0x20, 96) },
  { kind: 'rekey', phase: 1, step: 2, bytes: bytesFrom(0x80, 48) },
  { kind: 'macs', version: 2, part: 0, parts: 1, macs: fromHex('02aa0000000102aa00000002')! },
  { kind: 'macs-ack', version: 2 },
  { kind: 'close', reason: 1 },
];

interface InnerVector {
  readonly [name: string]: Vector;
  readonly kind: string;
  readonly bytes: string;
}

function innerVectors(): readonly InnerVector[] {
  const header = { originator: 0x02000000000a, sequence: 0x01020304, ttl: 64, epoch: 9 };
  const broadcast = withPrefix((out) => writeBroadcastPrefix(out, 0, 0, header), FRAME);
  const frame = withPrefix((out) => writeFramePrefix(out, 0, 1), FRAME);
  const [first, second] = [frame.subarray(0, 12), frame.subarray(12)];
  const fragment = (start: number, part: Uint8Array) =>
    withPrefix((out) => writeFragmentPrefix(out, 0, 77, start, frame.length), part);
  return [
    { kind: 'frame', flags: 1, frame: toHex(FRAME), bytes: toHex(frame) },
    { kind: 'broadcast', ...header, originator: A, frame: toHex(FRAME), bytes: toHex(broadcast) },
    { kind: 'fragment', id: 77, offset: 0, total: frame.length, bytes: toHex(fragment(0, first)) },
    { kind: 'fragment', id: 77, offset: 12, total: frame.length, bytes: toHex(fragment(12, second)) },
    ...LINK_MESSAGES.map((message) => {
      const out = new Uint8Array(200);
      const bytes = toHex(out.subarray(0, writeLinkMessage(message, out, 0)));
      return { ...hexadecimal(message), kind: message.kind, bytes };
    }),
    { kind: 'heartbeat', path: 5, token: toHex(TOKEN), paddedTo: 40, bytes: padded(LINK_MESSAGES[0]!, 40) },
  ];
}

function padded(message: LinkMessage, size: number): string {
  const out = new Uint8Array(size);
  return toHex(out.subarray(0, writeLinkMessage(message, out, 0, size)));
}

function withPrefix(write: (out: Uint8Array) => number, rest: Uint8Array): Uint8Array {
  const prefix = new Uint8Array(32);
  return concatBytes(prefix.subarray(0, write(prefix)), rest);
}

const DATAGRAM_KEY = bytesFrom(0x40, 32);

/** What an engine sends for each inner message: sealed under phase 3, then one plain, and one that a relay passed on. */
async function datagramVectors(inner: readonly InnerVector[]): Promise<Vector> {
  const sent: Uint8Array[] = [];
  const engine = new MemoryEngine({
    cipher: chacha,
    transmit: (_to, datagram) => void sent.push(datagram),
    onHostReceives: () => undefined,
  });
  await engine.open({ tap: undefined, address: undefined, port: 6_783, onReady: () => undefined });
  engine.configure([
    { type: 'session', session: 0, cookies: { send: COOKIE_B, receive: COOKIE_A } },
    { type: 'key', session: 0, phase: 3, send: DATAGRAM_KEY, receive: DATAGRAM_KEY },
    { type: 'send-phase', session: 0, phase: 3 },
    { type: 'path', path: 0, to: endpoint('192.0.2.2:6783'), sendIndex: INDEX_B },
  ]);
  const messages = inner.map(({ bytes }) => fromHex(bytes)!);
  for (const message of messages) engine.send(planOf(message, false));
  engine.send(planOf(messages[0]!, true));
  await engine.close();
  const plain = sent.pop()!;
  const relayed = sent[0]!.slice();
  rewriteDatagramIndex(relayed, 0xcafebabe);
  return {
    key: toHex(DATAGRAM_KEY),
    phase: 3,
    index: INDEX_B,
    sealed: sent.map((datagram, counter) => ({
      kind: inner[counter]!.kind,
      counter,
      inner: inner[counter]!.bytes,
      datagram: toHex(datagram),
    })),
    plain: { cookie: toHex(COOKIE_B), counter: 0, inner: inner[0]!.bytes, datagram: toHex(plain) },
    relayed: { nextIndex: 0xcafebabe, datagram: toHex(relayed) },
  };
}

function planOf(message: Uint8Array, plain: boolean): SendPlan {
  const plan = new SendPlan(1, message.length);
  plan.scratch.set(message);
  plan.source[0] = SOURCE_SCRATCH;
  plan.length[0] = message.length;
  plan.plain[0] = plain ? 1 : 0;
  plan.count = 1;
  return plan;
}

function circuitVectors(): Vector {
  const id = '0102030405060708';
  const messages: readonly CircuitMessage[] = [
    { type: 'open', id, session: '1112131415161718', position: 1, index: INDEX_A, path: [A, R, B] },
    { type: 'opened', id, index: INDEX_B },
    { type: 'refused', id, position: 1, reason: 'edge-not-direct' },
    { type: 'close', id },
  ];
  return messages.map((message) => ({
    ...hexadecimal(message),
    bytes: toHex(encodeCircuitMessage(message)),
  }));
}

function gossipVectors(): Vector {
  const entry: TopologyEntry = {
    name: A,
    nickname: 'host-a',
    incarnation: 3,
    version: 5,
    uid: toHex(UID_A),
    key: sodium.keyPairFromSeed(NOISE_SECRETS.initiatorStatic).public,
    generation: toHex(bytesFrom(0xc0, 8)),
    addresses: ['192.0.2.1:6783', '[2001:db8::1]:6783'].map(endpoint),
    acceptsInbound: true,
    neighbours: [
      { name: B, established: true, direct: true },
      { name: R, established: true, direct: false },
    ],
    capabilities: ['data', 'ipam'],
    bridgeMtu: 1_388,
    info: { 'ipam-cluster': '' },
  };
  const body = encodeBody(entry);
  const delta = Uint8Array.from(encodeDelta([{ entry, body }]));
  const messages: readonly Message[] = [
    {
      type: 'hello',
      name: A,
      nickname: 'host-a',
      uid: toHex(UID_A),
      incarnation: 3,
      version: '0.1.0',
      replaces: new Uint8Array(0),
      port: 6_783,
      acceptsInbound: true,
      seenAt: endpoint('192.0.2.2:6783'),
    },
    { type: 'gossip', channel: 'topology', delta },
    { type: 'digest', roots: [{ channel: 'topology', root: bytesFrom(0, 8) }] },
    { type: 'buckets', channel: 'topology', buckets: bytesFrom(0, 128), mutual: false },
    { type: 'want', channel: 'topology', buckets: 0x8001 },
    { type: 'unicast', from: A, to: B, ttl: 32, kind: 'offer', bytes: Uint8Array.of(1, 2, 3) },
    { type: 'heartbeat' },
    { type: 'bye', reason: 'stopped', sentence: 'the node was stopped' },
    { type: 'remake' },
    { type: 'spare' },
    { type: 'keep' },
  ];
  return {
    entry: hexadecimal(entry),
    body: toHex(body),
    delta: toHex(delta),
    messages: messages.map((message) => ({
      ...hexadecimal(message),
      bytes: toHex(encodeMessage(message)),
    })),
  };
}

/** Any value with its bytes as digits and its endpoints as text. */
function hexadecimal(value: object): { readonly [name: string]: Vector } {
  const text = JSON.stringify(value, (_, each: unknown) => {
    if (each instanceof Uint8Array) return toHex(each);
    return isEndpoint(each) ? formatEndpoint(each) : each;
  });
  return JSON.parse(text) as { readonly [name: string]: Vector };
}

function isEndpoint(value: unknown): value is Endpoint {
  return typeof value === 'object' && value !== null && 'ip' in value && 'port' in value;
}
