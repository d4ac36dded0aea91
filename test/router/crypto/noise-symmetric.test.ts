import test from 'ava';
import { utf8 } from '../../../core/bytes.ts';
import { SymmetricState } from '../../../router/crypto/noise-symmetric.ts';
import { allPrimitives } from './channel-pair.ts';

for (const [name, primitives] of allPrimitives) {
  const keyed = (): SymmetricState => {
    const state = new SymmetricState(primitives, utf8('Noise_test'));
    state.mixHash(utf8('prologue'));
    state.mixKey(new Uint8Array(32).fill(7));
    return state;
  };

  test(`with ${name}, several messages under one key have nonces of their own`, (t) => {
    const nonces: number[] = [];
    const watching = {
      ...primitives,
      aeadSeal: (...args: Parameters<typeof primitives.aeadSeal>) => {
        nonces.push(args[1][4]!);
        return primitives.aeadSeal(...args);
      },
    };
    const state = new SymmetricState(watching, utf8('Noise_test'));
    state.mixKey(new Uint8Array(32));
    for (let i = 0; i < 3; i++) state.seal(utf8('same'));
    state.mixKey(new Uint8Array(32));
    state.seal(utf8('same'));
    t.deepEqual(nonces, [0, 1, 2, 0]);
  });

  test(`with ${name}, messages open only in the state in which they were sealed, in order`, (t) => {
    const [sender, receiver] = [keyed(), keyed()];
    const [first, second] = [sender.seal(utf8('one')), sender.seal(utf8('two'))];
    t.is(receiver.clone().open(second), undefined);
    t.deepEqual(receiver.open(first), utf8('one'));
    t.deepEqual(receiver.open(second), utf8('two'));
    t.deepEqual(receiver.handshakeHash(), sender.handshakeHash());
    t.deepEqual(receiver.split(), sender.split());
  });

  test(`with ${name}, a copy goes its own way`, (t) => {
    const state = keyed();
    const before = state.handshakeHash();
    const copy = state.clone();
    copy.seal(utf8('x'));
    copy.wipe();
    t.deepEqual(state.handshakeHash(), before);
    t.deepEqual(state.seal(utf8('x')), keyed().seal(utf8('x')));
  });

  test(`with ${name}, sealing before a key is mixed in, or after wiping, is a bug`, (t) => {
    t.throws(() => new SymmetricState(primitives, utf8('Noise_test')).seal(utf8('x')));
    const state = keyed();
    state.wipe();
    t.throws(() => state.seal(utf8('x')));
  });
}
