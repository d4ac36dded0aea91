import test from 'ava';
import fc from 'fast-check';
import { toHex } from '../../../core/bytes.ts';
import { Counters } from '../../../core/counters.ts';
import { SeededRandom, type RandomSource } from '../../../core/random.ts';
import { loadSodium } from '../../../router/crypto/sodium.ts';
import { encodePayload } from '../../../router/link/handshake-payload.ts';
import { OutgoingOffer, openOffer, type LocalEnd } from '../../../router/link/offer-handshake.ts';
import { RekeyHandshakes } from '../../../router/link/rekey-handshake.ts';
import type { ToData } from '../../../router/node-messages.ts';
import { linkPrologueOracle, noiseIkChainOracle, publicOf } from '../crypto/noise-oracle.ts';
import { nameOf } from './routes-of.ts';

const sodium = await loadSodium();
const REKEYS = 3;

/** Remembers what was drawn: the ephemerals of an end are the draws of 32 bytes. */
class Recorder implements RandomSource {
  readonly draws: Uint8Array[] = [];
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  bytes(count: number): Uint8Array {
    const bytes = this.#random.bytes(count);
    this.draws.push(bytes.slice());
    return bytes;
  }

  u32(): number {
    return this.#random.u32();
  }

  get keys(): Uint8Array[] {
    return this.draws.filter(({ length }) => length === 32);
  }

  get cookies(): Uint8Array[] {
    return this.draws.filter(({ length }) => length === 16);
  }
}

interface End {
  readonly local: LocalEnd;
  readonly random: Recorder;
  readonly secret: Uint8Array;
}

function endOf(number: number, seed: number): End {
  const random = new Recorder(seed * 2 + number);
  const secret = new SeededRandom(seed * 7 + number).bytes(32);
  const local: LocalEnd = {
    name: nameOf(number),
    uid: new SeededRandom(seed + number).bytes(8),
    staticKey: sodium.keyPairFromSeed(secret),
    encrypted: true,
    bridgeMtu: 1_388,
    workers: 1,
    trusted: [],
    primitives: sodium,
    random,
    candidates: () => [],
  };
  return { local, random, secret };
}

function remoteOf({ local }: End) {
  const { name, uid, staticKey } = local;
  return { name, uid, incarnation: 1, staticKey: staticKey.public, addresses: [] };
}

/** Keys of every phase, as the product makes them. */
function run(a: End, b: End) {
  const outgoing = new OutgoingOffer(a.local, remoteOf(b), 9, 0xa0);
  const opened = openOffer(b.local, remoteOf(a), 9, outgoing.message!);
  if (typeof opened === 'string') throw new Error(opened);
  const answer = opened.answer(0xb0)!;
  const made = outgoing.readAnswer(answer.message);
  if (typeof made === 'string') throw new Error(made);
  const sessions = [made, answer.session] as const;
  const rekeys = [a, b].map(({ local }, i) => {
    const rekey = new RekeyHandshakes({ ...local, counters: new Counters() });
    const { handshakeHash, remoteStatic, material } = sessions[i]!;
    rekey.onSession(i === 0 ? b.local.name : a.local.name, 1, {
      initiator: i === 0,
      lanes: material.lanes,
      remoteStatic,
      handshakeHash,
    });
    rekey.onSessionLive(i === 0 ? b.local.name : a.local.name, 1);
    return rekey;
  });
  return { message1: outgoing.message!, message2: answer.message, sessions, rekeys };
}

type Of<T extends ToData['type']> = Extract<ToData, { type: T }>;
const find = <T extends ToData['type']>(messages: readonly ToData[], type: T): Of<T> =>
  messages.find((message) => message.type === type) as Of<T>;

/** One rekey: both messages, and the keys of the initiator and of the responder. */
function rekeyOnce([initiator, responder]: readonly RekeyHandshakes[], a: End, b: End, phase: number) {
  initiator!.onDue(b.local.name, 1, phase);
  const one = find(initiator!.drain(), 'rekey-message');
  responder!.onReceived(a.local.name, 1, phase, 1, one.bytes);
  const answered = responder!.drain();
  const two = find(answered, 'rekey-message');
  initiator!.onReceived(b.local.name, 1, phase, 2, two.bytes);
  return {
    messages: [one.bytes, two.bytes],
    initiator: find(initiator!.drain(), 'rekey-keys').keys,
    responder: find(answered, 'rekey-keys').keys,
  };
}

test('offers, answers and rekeys are byte for byte those of the oracle, and so are the keys of every phase', (t) => {
  const property = fc.property(fc.nat({ max: 1e6 }), (seed) => {
    const [a, b] = [endOf(1, seed), endOf(2, seed)];
    const { message1, message2, sessions, rekeys } = run(a, b);
    const phases = Array.from({ length: REKEYS }, (_, i) => rekeyOnce(rekeys, a, b, i + 1));
    const payload = (index: number, end: End): Uint8Array =>
      encodePayload({ ...end.local, offer: 9, index, cookie: end.random.cookies[0]!, candidates: [] });
    const oracle = noiseIkChainOracle(
      {
        prologue: linkPrologueOracle(a.local, b.local),
        initiatorStatic: a.secret,
        initiatorEphemeral: a.random.keys[0]!,
        responderStatic: b.secret,
        responderEphemeral: b.random.keys[0]!,
        payload1: payload(0xa0, a),
        payload2: payload(0xb0, b),
      },
      REKEYS,
      (phase) => [a.random.keys[phase]!, b.random.keys[phase]!],
    );
    t.is(toHex(message1), toHex(oracle[0]!.message1));
    t.is(toHex(message2), toHex(oracle[0]!.message2));
    for (const { handshakeHash } of sessions) t.is(toHex(handshakeHash), toHex(oracle[0]!.handshakeHash));
    const all = [
      { initiator: sessions[0].material.keys!, responder: sessions[1].material.keys!, messages: [] },
      ...phases,
    ];
    for (const [phase, { initiator, responder, messages }] of all.entries()) {
      const expected = oracle[phase]!;
      if (phase > 0) t.deepEqual(messages.map(toHex), [expected.message1, expected.message2].map(toHex));
      t.is(toHex(initiator.send), toHex(expected.fromInitiator), `phase ${phase}`);
      t.is(toHex(initiator.receive), toHex(expected.fromResponder));
      t.is(toHex(responder.send), toHex(expected.fromResponder));
      t.is(toHex(responder.receive), toHex(expected.fromInitiator));
    }
    t.is(new Set(all.flatMap(({ initiator }) => [initiator.send, initiator.receive].map(toHex))).size, 8);
    t.is(toHex(sessions[1].remoteStatic), toHex(publicOf(a.secret)));
  });
  t.notThrows(() => fc.assert(property, { numRuns: 12, seed: 6_783 }));
});
