import { readFileSync } from 'node:fs';
import { createHmac } from 'node:crypto';
import test from 'ava';
import { fromHex, toHex } from '../../core/bytes.ts';
import { parseMessage } from '../../gossip/messages.ts';
import { decodeDelta } from '../../gossip/topology-codec.ts';
import { sampleScalar, sharedElement } from '../../router/crypto/cpace.ts';
import { parseCircuitMessage } from '../../router/link/circuit-message.ts';
import { parseEnvelope } from '../../router/link/offer-envelope.ts';
import { cpaceIsk, cpaceKeys } from '../router/crypto/cpace-oracle.ts';
import { linkPrologueOracle, noiseIkChainOracle, publicOf } from '../router/crypto/noise-oracle.ts';
import { SecretStreamOracle } from '../router/crypto/secret-stream-oracle.ts';
import { openDatagram, plainDatagram, sealDatagram } from '../router/engine/datagram-oracle.ts';
import { protocolVectors } from './protocol-vectors.ts';

/** One key per lane. */
type LaneKeys = Readonly<Record<'keysOfInitiator' | 'keysOfResponder', readonly string[]>>;

interface Vectors {
  readonly preamble: readonly { readonly bytes: string }[];
  readonly cpace: {
    readonly preambleA: string;
    readonly preambleB: string;
    readonly sid: string;
    readonly dialler: { readonly element: string };
    readonly acceptor: readonly {
      readonly index: number;
      readonly seed: string;
      readonly element: string;
      readonly isk: string;
      readonly tagA: string;
      readonly tagB: string;
    }[];
  };
  readonly stream: Readonly<Record<'isk' | 'aToB' | 'bToA' | 'header', string>> & {
    readonly sentByDialler: readonly { readonly message: string; readonly frame: string }[];
  };
  readonly 'noise-ik': Readonly<
    Record<
      | 'initiatorStatic'
      | 'responderStatic'
      | 'initiatorStaticPublic'
      | 'initiatorEphemeral'
      | 'responderEphemeral'
      | 'initiatorRekeyEphemeral'
      | 'responderRekeyEphemeral'
      | 'prologue'
      | 'offerPayload'
      | 'answerPayload'
      | 'message1'
      | 'message2'
      | 'offerEnvelope'
      | 'handshakeHash'
      | 'sessionName',
      string
    >
  > &
    LaneKeys & {
      readonly initiator: { readonly name: string; readonly uid: string };
      readonly responder: { readonly name: string; readonly uid: string };
      readonly rekey: Readonly<Record<'prologue' | 'step1' | 'step2', string>> & LaneKeys;
    };
  readonly inner: readonly { readonly kind: string; readonly bytes: string }[];
  readonly datagram: {
    readonly key: string;
    readonly phase: number;
    readonly index: number;
    readonly sealed: readonly {
      readonly counter: number;
      readonly inner: string;
      readonly datagram: string;
    }[];
    readonly plain: { readonly cookie: string; readonly inner: string; readonly datagram: string };
    readonly relayed: { readonly nextIndex: number; readonly datagram: string };
  };
  readonly circuit: readonly { readonly type: string; readonly bytes: string }[];
  readonly gossip: {
    readonly delta: string;
    readonly messages: readonly { readonly type: string; readonly bytes: string }[];
  };
}

const vectors = JSON.parse(readFileSync('test/vectors/protocol.json', 'utf8')) as Vectors;
const bytes = (digits: string): Uint8Array => fromHex(digits)!;

test('the product computes every vector of the protocol', async (t) => {
  const computed = JSON.parse(JSON.stringify(await protocolVectors())) as Record<string, unknown>;
  for (const [section, value] of Object.entries(computed)) {
    t.deepEqual((vectors as unknown as Record<string, unknown>)[section], value, section);
  }
  t.deepEqual(Object.keys(vectors), Object.keys(computed));
});

test('the oracle derives the same tags and secrets from a password exchange', (t) => {
  const { cpace } = vectors;
  for (const { index, seed, element, isk, tagA, tagB } of cpace.acceptor) {
    const inputs = {
      preambleA: bytes(cpace.preambleA),
      preambleB: bytes(cpace.preambleB),
      index,
      elementA: bytes(cpace.dialler.element),
      elementB: bytes(element),
    };
    const shared = sharedElement(sampleScalar(bytes(seed)), inputs.elementA)!;
    t.is(toHex(cpaceIsk(shared, inputs)), isk);
    const keys = cpaceKeys(bytes(isk), inputs);
    t.deepEqual([keys.sid, keys.tagA, keys.tagB].map(toHex), [cpace.sid, tagA, tagB]);
  }
});

test('the oracle writes the same frames of a control connection', (t) => {
  const { isk, aToB, bToA, header, sentByDialler } = vectors.stream;
  const preamble = bytes(vectors.preamble[0]!.bytes);
  const element = new Uint8Array(32);
  const inputs = { preambleA: preamble, preambleB: preamble, index: 0, elementA: element, elementB: element };
  const keys = cpaceKeys(bytes(isk), inputs);
  t.deepEqual([keys.streamAToB, keys.streamBToA].map(toHex), [aToB, bToA]);
  const stream = new SecretStreamOracle(bytes(aToB), bytes(header));
  for (const { message, frame } of sentByDialler) {
    const sealed = stream.seal(bytes(message));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(sealed.length);
    t.is(toHex(length) + toHex(sealed), frame);
  }
});

test('the oracle comes to the same offer, answer, rekey and keys', (t) => {
  const noise = vectors['noise-ik'];
  const end = ({ name, uid }: { name: string; uid: string }) => ({ name, uid: bytes(uid) });
  const prologue = linkPrologueOracle(end(noise.initiator), end(noise.responder));
  t.is(toHex(prologue), noise.prologue);
  t.is(toHex(publicOf(bytes(noise.initiatorStatic))), noise.initiatorStaticPublic);
  const [session, rekey] = noiseIkChainOracle(
    {
      prologue,
      initiatorStatic: bytes(noise.initiatorStatic),
      initiatorEphemeral: bytes(noise.initiatorEphemeral),
      responderStatic: bytes(noise.responderStatic),
      responderEphemeral: bytes(noise.responderEphemeral),
      payload1: bytes(noise.offerPayload),
      payload2: bytes(noise.answerPayload),
    },
    1,
    () => [bytes(noise.initiatorRekeyEphemeral), bytes(noise.responderRekeyEphemeral)],
  );
  const { message1, message2, handshakeHash, fromInitiator, fromResponder } = session!;
  t.deepEqual([message1, message2, handshakeHash].map(toHex), [
    noise.message1,
    noise.message2,
    noise.handshakeHash,
  ]);
  t.deepEqual([fromInitiator, fromResponder].map(laneKeys), [noise.keysOfInitiator, noise.keysOfResponder]);
  t.is(noise.sessionName, noise.handshakeHash.slice(0, 16));
  t.is(toHex(parseEnvelope(bytes(noise.offerEnvelope))!.bytes), noise.message1);
  t.is(noise.rekey.prologue, `${noise.handshakeHash}01`);
  t.deepEqual([rekey!.message1, rekey!.message2].map(toHex), [noise.rekey.step1, noise.rekey.step2]);
  t.deepEqual([rekey!.fromInitiator, rekey!.fromResponder].map(laneKeys), [
    noise.rekey.keysOfInitiator,
    noise.rekey.keysOfResponder,
  ]);
});

/** The keys of both lanes from what Split gives for a direction. */
function laneKeys(split: Uint8Array): string[] {
  const hmac = createHmac('sha512', split).update('weave-ts lane').update(Uint8Array.of(1)).digest();
  return [toHex(split), toHex(hmac.subarray(0, 32))];
}

test('the oracle seals the same datagrams, and knows the plain and the relayed one', (t) => {
  const { key, phase, index, sealed, plain, relayed } = vectors.datagram;
  for (const { counter, inner, datagram } of sealed) {
    const header = { phase, index, counter: BigInt(counter) };
    t.is(toHex(sealDatagram(bytes(key), header, bytes(inner))), datagram);
  }
  t.is(toHex(plainDatagram(bytes(plain.cookie), { index, counter: 0n }, bytes(plain.inner))), plain.datagram);
  const opened = openDatagram(bytes(key), bytes(relayed.datagram));
  t.is(opened.index, relayed.nextIndex);
  t.is(toHex(opened.inner!), sealed[0]!.inner);
  t.deepEqual(
    [...new Set(vectors.inner.map(({ kind }) => kind))].sort(),
    [
      ...['broadcast', 'close', 'fragment', 'frame', 'heartbeat', 'heartbeat-ack', 'macs', 'macs-ack'],
      ...['probe', 'probe-ack', 'rekey'],
    ],
    'every kind of inner message is among them',
  );
});

test('the product reads what the vectors of circuits and gossip hold', (t) => {
  for (const { type, bytes: digits } of vectors.circuit) t.like(parseCircuitMessage(bytes(digits)), { type });
  for (const { type, bytes: digits } of vectors.gossip.messages) {
    const parsed = parseMessage(bytes(digits));
    t.like(parsed, { type: 'message', message: { type } });
  }
  const [entry] = decodeDelta(bytes(vectors.gossip.delta));
  t.is(entry!.decode()!.entry.nickname, 'host-a');
});
