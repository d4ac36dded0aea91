import { randomBytes } from 'node:crypto';
import { parsePeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { SecureChannel } from '../gossip/secure-channel.ts';
import { createSecureChannel } from '../router/crypto/secure-channel.ts';
import { runCpaceJob } from '../router/crypto/cpace.ts';
import type { Primitives } from '../router/crypto/primitives.ts';
import { loadSodium } from '../router/crypto/sodium.ts';
import { NoiseIkInitiator, NoiseIkResponder } from '../router/crypto/noise-ik.ts';
import { OutgoingOffer, openOffer, type LocalEnd } from '../router/link/offer-handshake.ts';
import { MOST_LANES } from '../router/wire/lanes.ts';

/**
 * What handshakes cost: CPU ms per side, warm, the median of many. A control connection counts from the first byte to
 * the last before its first frame; a session from nothing to its keys.
 */
const ROUNDS = 200;
const WARM_UP = 30;

const sodium = await loadSodium();
const random: RandomSource = { bytes: (length) => new Uint8Array(randomBytes(length)) };
const words = ['correct horse', 'battery staple'].map((word) => new TextEncoder().encode(word));

/** CPU time of this process so far, in ms. */
function cpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** Adds up what one side costs within a round. */
class Meter {
  total = 0;

  run<T>(step: () => T): T {
    const before = cpu();
    const result = step();
    this.total += cpu() - before;
    return result;
  }
}

type Round = (one: Meter, other: Meter) => void;

/** Medians of both sides. */
function measure(round: Round): [number, number] {
  const samples: [number, number][] = [];
  for (let i = 0; i < WARM_UP + ROUNDS; i++) {
    const [one, other] = [new Meter(), new Meter()];
    round(one, other);
    if (i >= WARM_UP) samples.push([one.total, other.total]);
  }
  return [median(samples.map(([one]) => one)), median(samples.map(([, other]) => other))];
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** A whole password exchange; the acceptor holds `held` passwords, of which the dialler knows the last. */
function cpaceRound(held: number): Round {
  return (one, other) => {
    const passwords = words.slice(0, held);
    const dialler = one.run(() => open('dialler', passwords.slice(-1)));
    const acceptor = other.run(() => open('acceptor', passwords));
    let opened = 0;
    for (let toAcceptor = settle(dialler, one), toDialler = settle(acceptor, other); opened < 2;) {
      opened += toAcceptor.opened + toDialler.opened;
      const [there, back] = [toAcceptor.bytes, toDialler.bytes];
      other.run(() => there.forEach((bytes) => acceptor.onBytes(bytes, 0)));
      one.run(() => back.forEach((bytes) => dialler.onBytes(bytes, 0)));
      toAcceptor = settle(dialler, one);
      toDialler = settle(acceptor, other);
    }
    dialler.close();
    acceptor.close();
  };
}

function open(role: 'dialler' | 'acceptor', passwords: readonly Uint8Array[]): SecureChannel {
  return createSecureChannel({ role, passwords, primitives: sodium, random }, 0);
}

/** Does the tasks of a channel; returns what it writes, and 1 if it has opened. */
function settle(channel: SecureChannel, meter: Meter): { bytes: Uint8Array[]; opened: number } {
  const bytes: Uint8Array[] = [];
  let opened = 0;
  meter.run(() => {
    for (let effects = channel.drain(); effects.length > 0; effects = channel.drain()) {
      for (const effect of effects) {
        if (effect.type === 'write') bytes.push(effect.bytes);
        else if (effect.type === 'task') channel.onTaskDone(effect.task, runCpaceJob(effect.job), 0);
        else if (effect.type === 'open') opened = 1;
        else throw new Error(JSON.stringify(effect));
      }
    }
  });
  return { bytes, opened };
}

function end(number: number): LocalEnd {
  return {
    name: parsePeerName(`02:00:00:00:00:0${number}`)!,
    uid: random.bytes(8),
    staticKey: sodium.keyPairFromSeed(random.bytes(32)),
    encrypted: true,
    bridgeMtu: 1_388,
    workers: 1,
    trusted: [],
    primitives: sodium,
    random,
    candidates: () => [],
  };
}

const [a, b] = [end(1), end(2)];
const remote = ({ name, uid, staticKey }: LocalEnd) => {
  return { name, uid, incarnation: 1, staticKey: staticKey.public, addresses: [] };
};

const offerRound: Round = (one, other) => {
  const outgoing = one.run(() => new OutgoingOffer(a, remote(b), 1, MOST_LANES));
  const answer = other.run(() => {
    const opened = openOffer(b, remote(a), 1, outgoing.message!);
    if (typeof opened === 'string') throw new Error(opened);
    return opened.answer(2 * MOST_LANES)!;
  });
  one.run(() => outgoing.readAnswer(answer.message));
};

const rekeyRound: Round = (one, other) => {
  const options = (
    local: LocalEnd,
  ): { primitives: Primitives; staticKey: LocalEnd['staticKey']; prologue: Uint8Array } => {
    return { primitives: sodium, staticKey: local.staticKey, prologue: new Uint8Array(65) };
  };
  const nothing = new Uint8Array(0);
  const initiator = one.run(() => new NoiseIkInitiator(options(a), b.staticKey.public, random.bytes(32)));
  const step1 = one.run(() => initiator.writeMessage1(nothing)!);
  const step2 = other.run(() => {
    const responder = new NoiseIkResponder(options(b));
    responder.readMessage1(step1);
    return responder.writeMessage2(nothing, random.bytes(32))!;
  });
  one.run(() => initiator.readMessage2(step2.message));
};

const rows: readonly (readonly [string, string, string, Round])[] = [
  ['control connection, 1 password', 'dialler', 'acceptor', cpaceRound(1)],
  ['control connection, 2 passwords', 'dialler', 'acceptor', cpaceRound(2)],
  ['session (Noise IK)', 'initiator', 'responder', offerRound],
  ['rekey', 'initiator', 'responder', rekeyRound],
];

/** What the machine is worth at the moment: a busy one makes all of it dearer alike. */
const [yardstick] = measure((one) => {
  const key = random.bytes(32);
  one.run(() => sodium.dh(key, a.staticKey.public));
});

const figure = (ms: number): string => `${ms.toFixed(2)} (${(ms / yardstick).toFixed(0)} x)`.padEnd(15);
console.log(`CPU ms per side, median of ${ROUNDS}, Node ${process.version}`);
console.log(`(x: times one X25519 of libsodium, which took ${yardstick.toFixed(3)} ms in this run)`);
for (const [what, first, second, round] of rows) {
  const [one, other] = measure(round);
  console.log(`${what.padEnd(34)} ${first} ${figure(one)} ${second} ${figure(other)}`);
}
