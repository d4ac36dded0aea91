import type { RandomSource } from '../../../core/random.ts';
import type { KeyPair } from '../../../router/crypto/primitives.ts';
import { fakePrimitives } from '../../sim/fake-primitives.ts';
import { nameOf } from './routes-of.ts';

/** The host with this number, with a password, as its LinkControl knows itself. */
export function localEnd(number: number, uid: Uint8Array, random: RandomSource) {
  return {
    name: nameOf(number),
    uid,
    staticKey: keysOf(number),
    random,
    encrypted: true,
    bridgeMtu: 1_388,
    workers: 1,
    trusted: [],
    primitives: fakePrimitives,
    candidates: () => [],
  };
}

export function keysOf(seed: number): KeyPair {
  return fakePrimitives.keyPairFromSeed(new Uint8Array(32).fill(seed));
}
