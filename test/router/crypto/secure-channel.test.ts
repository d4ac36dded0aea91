import test from 'ava';
import { concatBytes, equalBytes, utf8 } from '../../../core/bytes.ts';
import { SeededRandom } from '../../../core/random.ts';
import type { ChannelFailure } from '../../../gossip/secure-channel.ts';
import { confirmationTags } from '../../../router/crypto/channel-keys.ts';
import { createSecureChannel } from '../../../router/crypto/secure-channel.ts';
import type { SecureChannelOptions } from '../../../router/crypto/secure-channel.ts';
import { fakePrimitives } from '../../sim/fake-primitives.ts';
import { ChannelPair, End, allPrimitives } from './channel-pair.ts';
import type { EndOptions } from './channel-pair.ts';

const PREAMBLE = 44;
const ELEMENT = 32;
const TAG = 64;
const STREAM_HEADER = 24;

function held(...passwords: string[]): EndOptions {
  return { passwords: passwords.map(utf8) };
}

const open = held();

for (const [name, primitives] of allPrimitives) {
  const pair = (dialler: EndOptions, acceptor: EndOptions): ChannelPair =>
    new ChannelPair(primitives, dialler, acceptor).run();

  test(`with ${name}, ends with the same password open an encrypted channel of the same id`, (t) => {
    const { dialler, acceptor } = pair(held('secret'), held('secret'));
    t.deepEqual(dialler.opened, acceptor.opened);
    t.true(dialler.opened?.encrypted);
    t.is(dialler.opened?.sid.length, 64);
    t.is(dialler.failure, undefined);
  });

  test(`with ${name}, ends without a password open a channel in clear of the same id`, (t) => {
    const { dialler, acceptor } = pair(open, open);
    t.deepEqual(dialler.opened, acceptor.opened);
    t.false(dialler.opened?.encrypted);
    const nonces = concatBytes(dialler.written.subarray(12, 44), acceptor.written.subarray(12, 44));
    t.deepEqual(dialler.opened?.sid, primitives.sha512(nonces));
    t.is(dialler.writes.length, 1);
  });

  test(`with ${name}, messages of any size up to 1 MiB arrive whole and in order both ways`, (t) => {
    for (const password of [held('secret'), open]) {
      const link = pair(password, password);
      const messages = [0, 1, 100, 1_048_576, 17].map((length) => new SeededRandom(length).bytes(length));
      for (const message of messages) {
        link.dialler.channel.send(message);
        link.acceptor.channel.send(message);
      }
      link.run();
      t.deepEqual(link.acceptor.messages, messages);
      t.deepEqual(link.dialler.messages, messages);
    }
  });

  test(`with ${name}, messages travel sealed if and only if there is a password`, (t) => {
    const message = utf8('the quick brown fox jumps over the lazy dog');
    for (const password of [held('secret'), open]) {
      const { dialler, acceptor } = pair(password, password);
      const before = dialler.written.length;
      dialler.channel.send(message);
      dialler.drain();
      const sent = dialler.written.subarray(before);
      const overhead = dialler.opened?.encrypted ? 17 : 0;
      t.is(sent.length, 4 + overhead + message.length);
      t.is(new DataView(sent.buffer, sent.byteOffset).getUint32(0, true), overhead + message.length);
      t.is(acceptor.messages.length, 0);
    }
  });

  test(`with ${name}, each end is told which of its own passwords the connection stands on`, (t) => {
    const cases: [EndOptions, EndOptions, number, number][] = [
      [held('new', 'old'), held('new', 'old'), 0, 0],
      [held('new', 'old'), held('old', 'new'), 0, 1],
      [{ ...held('new', 'old'), dialPassword: 1 }, held('old'), 1, 0],
      [held('old'), held('new', 'old'), 0, 1],
    ];
    for (const [left, right, ofDialler, ofAcceptor] of cases) {
      const { dialler, acceptor } = pair(left, right);
      t.is(dialler.opened?.passwordIndex, ofDialler);
      t.is(acceptor.opened?.passwordIndex, ofAcceptor);
    }
  });

  const refusals: [string, EndOptions, EndOptions, ChannelFailure, string, ChannelFailure, string][] = [
    [
      'another password',
      held('one'),
      held('two', 'three'),
      'password-mismatch',
      'password mismatch with ADDRESS',
      'password-mismatch',
      'password mismatch with ADDRESS',
    ],
    [
      'a second password that the dialler does not try',
      held('one', 'two'),
      held('two'),
      'password-mismatch',
      'password mismatch with ADDRESS',
      'password-mismatch',
      'password mismatch with ADDRESS',
    ],
    [
      'a password at the dialler only',
      held('one'),
      open,
      'password-required-here',
      'ADDRESS has no password, one is set here',
      'password-required-there',
      'ADDRESS requires a password, none is set here',
    ],
    [
      'a password at the acceptor only',
      open,
      held('one'),
      'password-required-there',
      'ADDRESS requires a password, none is set here',
      'password-required-here',
      'ADDRESS has no password, one is set here',
    ],
    [
      'a range of versions the wrong way round',
      { ...held('one'), versions: { min: 2, max: 0 } },
      held('one'),
      'version-mismatch',
      'ADDRESS speaks protocol version 1, this node 2 to 0',
      'version-mismatch',
      'ADDRESS speaks protocol version 2 to 0, this node 1',
    ],
    [
      'no protocol version in common',
      { ...held('one'), versions: { min: 2, max: 3 } },
      { ...held('one'), versions: { min: 1, max: 1 } },
      'version-mismatch',
      'ADDRESS speaks protocol version 1, this node 2 to 3',
      'version-mismatch',
      'ADDRESS speaks protocol version 2 to 3, this node 1',
    ],
  ];
  for (const [what, left, right, ofDialler, diallerDetail, ofAcceptor, acceptorDetail] of refusals) {
    test(`with ${name}, ${what} is a named error at both ends and opens nothing`, (t) => {
      const { dialler, acceptor } = pair(left, right);
      t.deepEqual(dialler.reports, [{ type: 'failed', reason: ofDialler, detail: diallerDetail }]);
      t.deepEqual(acceptor.reports, [{ type: 'failed', reason: ofAcceptor, detail: acceptorDetail }]);
    });
  }

  test(`with ${name}, nothing but preamble, element and tags is sent before the other end has proved itself`, (t) => {
    const dialler = new End('dialler', primitives, held('secret'), 1);
    const acceptor = new End('acceptor', primitives, held('secret', 'older'), 2);
    const give = (to: End, bytes: Uint8Array[]): void => bytes.forEach((b) => to.channel.onBytes(b, 0));
    const preambleA = dialler.drain();
    const preambleB = acceptor.drain();
    give(acceptor, preambleA);
    give(dialler, preambleB);
    const elementA = dialler.drain();
    t.is(dialler.written.length, PREAMBLE + ELEMENT);
    give(acceptor, elementA);
    const answer = acceptor.drain();
    t.is(acceptor.written.length, PREAMBLE + 1 + 2 * (ELEMENT + TAG));
    give(dialler, answer);
    const proof = dialler.drain();
    t.is(concatBytes(...proof).length, 2 + TAG + STREAM_HEADER);
    t.truthy(dialler.opened);
    t.is(acceptor.opened, undefined);
    give(acceptor, proof);
    t.is(concatBytes(...acceptor.drain()).length, STREAM_HEADER);
    t.truthy(acceptor.opened);
  });

  test(`with ${name}, a frame replayed, reordered or left out is refused as forged`, (t) => {
    for (const order of [
      [0, 0],
      [1, 0],
      [0, 2],
    ]) {
      const link = pair(held('secret'), held('secret'));
      for (const text of ['zero', 'one', 'two']) link.dialler.channel.send(utf8(text));
      const frames = link.dialler.drain();
      for (const i of order) link.acceptor.channel.onBytes(frames[i]!, 0);
      link.acceptor.drain();
      t.is(link.acceptor.failure, 'frame-forged');
    }
  });

  test(`with ${name}, a dialler that proves nothing is a mismatch to the acceptor`, (t) => {
    const proofs: [Uint8Array, ChannelFailure][] = [
      [Uint8Array.of(0), 'password-mismatch'],
      [concatBytes(Uint8Array.of(1, 0), new Uint8Array(TAG)), 'password-mismatch'],
      [concatBytes(Uint8Array.of(1, 1), new Uint8Array(TAG)), 'handshake-malformed'],
      [Uint8Array.of(2), 'handshake-malformed'],
    ];
    for (const [proof, reason] of proofs) {
      const dialler = new End('dialler', primitives, held('x'), 3);
      const acceptor = new End('acceptor', primitives, held('y'), 4);
      const preambleB = acceptor.drain();
      for (const bytes of dialler.drain()) acceptor.channel.onBytes(bytes, 0);
      for (const bytes of preambleB) dialler.channel.onBytes(bytes, 0);
      for (const bytes of dialler.drain()) acceptor.channel.onBytes(bytes, 0);
      acceptor.drain();
      acceptor.channel.onBytes(proof, 0);
      acceptor.drain();
      t.is(acceptor.failure, reason);
    }
  });

  test(`with ${name}, an element that is no valid point ends the handshake`, (t) => {
    const acceptor = new End('acceptor', primitives, held('secret'), 5);
    const dialler = new End('dialler', primitives, held('secret'), 6);
    for (const bytes of dialler.drain()) acceptor.channel.onBytes(bytes, 0);
    acceptor.channel.onBytes(new Uint8Array(ELEMENT), 0);
    acceptor.drain();
    t.is(acceptor.failure, 'handshake-malformed');

    const liar = new End('acceptor', primitives, held('secret'), 7);
    for (const bytes of liar.drain()) dialler.channel.onBytes(bytes, 0);
    dialler.drain();
    dialler.channel.onBytes(concatBytes(Uint8Array.of(1), new Uint8Array(ELEMENT + TAG)), 0);
    dialler.drain();
    t.is(dialler.failure, 'handshake-malformed');
  });

  test(`with ${name}, no end takes its own words for those of the other`, (t) => {
    for (const role of ['dialler', 'acceptor'] as const) {
      const end = new End(role, primitives, held('secret'), 8);
      for (let round = 0; round < 5; round++) for (const bytes of end.drain()) end.channel.onBytes(bytes, 0);
      end.channel.onTimeout(10_000);
      end.drain();
      t.is(end.opened, undefined);
      t.truthy(end.failure);
    }
  });
}

test('an acceptor that offers no password or more than two is refused', (t) => {
  for (const count of [0, 3, 255]) {
    const dialler = new End('dialler', fakePrimitives, held('secret'), 1);
    for (const bytes of new End('acceptor', fakePrimitives, held('x'), 2).drain())
      dialler.channel.onBytes(bytes, 0);
    dialler.drain();
    dialler.channel.onBytes(Uint8Array.of(count), 0);
    dialler.drain();
    t.is(dialler.failure, 'handshake-malformed');
  }
});

test('a handshake takes at most ten seconds, an open channel has no deadline', (t) => {
  const slow = new End('acceptor', fakePrimitives, held('secret'), 1);
  t.is(slow.channel.nextTimeout(), 10_000);
  slow.channel.onTimeout(9_999);
  slow.drain();
  t.is(slow.failure, undefined);
  slow.channel.onTimeout(10_000);
  slow.drain();
  t.is(slow.failure, 'handshake-timeout');
  t.is(slow.channel.nextTimeout(), undefined);

  const { dialler } = new ChannelPair(fakePrimitives, held('secret'), held('secret')).run();
  t.is(dialler.channel.nextTimeout(), undefined);
  dialler.channel.onTimeout(1_000_000);
  t.deepEqual(dialler.channel.drain(), []);
});

test('more than 4 KiB before the handshake is over ends it, even while a task runs', (t) => {
  const acceptor = createSecureChannel(
    { ...held('secret'), role: 'acceptor', primitives: fakePrimitives, random: new SeededRandom(1) },
    0,
  );
  for (const bytes of new End('dialler', fakePrimitives, held('x'), 2).drain()) acceptor.onBytes(bytes, 0);
  acceptor.onBytes(new Uint8Array(ELEMENT).fill(1), 0);
  acceptor.onBytes(new Uint8Array(4_096 - PREAMBLE - ELEMENT), 0);
  t.false(acceptor.drain().some((effect) => effect.type === 'failed'));
  acceptor.onBytes(new Uint8Array(1), 0);
  const failed = acceptor.drain().find((effect) => effect.type === 'failed');
  t.is(failed?.reason, 'handshake-too-long');
});

test('a frame longer than 1 MiB is refused at its length', (t) => {
  for (const [password, limit] of [
    [held('secret'), 1_048_576 + 17],
    [open, 1_048_576],
  ] as const) {
    for (const [length, failure] of [
      [limit, undefined],
      [limit + 1, 'frame-too-long'],
      [0xffff_ffff, 'frame-too-long'],
    ] as const) {
      const { acceptor, dialler } = new ChannelPair(fakePrimitives, password, password).run();
      dialler.channel.send(utf8('hello'));
      for (const bytes of dialler.drain()) acceptor.channel.onBytes(bytes, 0);
      const prefix = new Uint8Array(4);
      new DataView(prefix.buffer).setUint32(0, length, true);
      acceptor.channel.onBytes(prefix, 0);
      acceptor.drain();
      t.is(acceptor.failure, failure);
    }
  }
});

test('without a password a first message longer than 4 KiB is refused at its length', (t) => {
  for (const [length, failure] of [
    [4_096, undefined],
    [4_097, 'frame-too-long'],
  ] as const) {
    const { acceptor } = new ChannelPair(fakePrimitives, open, open).run();
    const prefix = new Uint8Array(4);
    new DataView(prefix.buffer).setUint32(0, length, true);
    acceptor.channel.onBytes(prefix, 0);
    acceptor.drain();
    t.is(acceptor.failure, failure);
  }
});

test('a sealed frame too short for its tag is refused', (t) => {
  const { acceptor } = new ChannelPair(fakePrimitives, held('secret'), held('secret')).run();
  acceptor.channel.onBytes(Uint8Array.of(16, 0, 0, 0), 0);
  acceptor.drain();
  t.is(acceptor.failure, 'frame-forged');
});

test('sending too early or too much is a bug, and does not disturb the channel', (t) => {
  const early = new End('dialler', fakePrimitives, open, 1);
  t.throws(() => early.channel.send(utf8('x')));
  const link = new ChannelPair(fakePrimitives, held('secret'), held('secret')).run();
  t.throws(() => link.dialler.channel.send(new Uint8Array(1_048_577)), { instanceOf: RangeError });
  link.dialler.channel.send(utf8('still fine'));
  link.run();
  t.deepEqual(link.acceptor.messages, [utf8('still fine')]);
});

test('a closed channel is silent: bytes, results, timeouts and messages have no effect', (t) => {
  const { dialler } = new ChannelPair(fakePrimitives, held('secret'), held('secret')).run();
  dialler.channel.close();
  dialler.channel.onBytes(new Uint8Array(100), 0);
  dialler.channel.onTaskDone(1, { type: 'refused' }, 0);
  dialler.channel.onTimeout(100_000);
  dialler.channel.send(utf8('x'));
  dialler.channel.close();
  t.deepEqual(dialler.channel.drain(), []);
});

test('results of unknown tasks are ignored', (t) => {
  const dialler = new End('dialler', fakePrimitives, held('secret'), 1);
  for (const bytes of new End('acceptor', fakePrimitives, held('x'), 2).drain())
    dialler.channel.onBytes(bytes, 0);
  dialler.channel.onTaskDone(99, { type: 'refused' }, 0);
  t.false(dialler.channel.drain().some((effect) => effect.type === 'failed'));
});

test('a channel wipes its passwords when the handshake is over, and never those of its caller', (t) => {
  for (const right of ['secret', 'other']) {
    const wiped: Uint8Array[] = [];
    const primitives = {
      ...fakePrimitives,
      wipe: (secret: Uint8Array) => {
        wiped.push(secret.slice());
        secret.fill(0);
      },
    };
    const mine = utf8('secret');
    const link = new ChannelPair(primitives, { passwords: [mine] }, held(right)).run();
    t.deepEqual(mine, utf8('secret'));
    for (const password of [mine, utf8(right)]) t.true(wiped.some((secret) => equalBytes(secret, password)));
    link.dialler.channel.close();
  }
});

test('a seed decides every byte of a handshake', (t) => {
  const run = (): Uint8Array => new ChannelPair(fakePrimitives, held('x'), held('x')).run().acceptor.written;
  t.deepEqual(run(), run());
});

test('a channel cannot be made with more than two passwords or to dial with one that it does not hold', (t) => {
  const random = new SeededRandom(1);
  const options: SecureChannelOptions = {
    role: 'dialler',
    passwords: [],
    primitives: fakePrimitives,
    random,
  };
  t.throws(() => createSecureChannel({ ...options, ...held('a', 'b', 'c') }, 0), { instanceOf: RangeError });
  t.throws(() => createSecureChannel({ ...options, ...held('a'), dialPassword: 1 }, 0), {
    instanceOf: RangeError,
  });
});

test('confirmation tags depend on the secret, both sids, both elements and both data', (t) => {
  const share = (fill: number): { element: Uint8Array; associated: Uint8Array } => ({
    element: new Uint8Array(32).fill(fill),
    associated: Uint8Array.of(fill),
  });
  const [, sodium] = allPrimitives[0]!;
  const bytes = new Uint8Array(64);
  const base = confirmationTags(sodium, bytes, bytes, share(1), share(2));
  t.notDeepEqual(base.a, base.b);
  t.notDeepEqual(confirmationTags(sodium, bytes.with(0, 1), bytes, share(1), share(2)), base);
  t.notDeepEqual(confirmationTags(sodium, bytes, bytes.with(0, 1), share(1), share(2)), base);
  t.deepEqual(confirmationTags(sodium, bytes, bytes, share(2), share(1)), { a: base.b, b: base.a });
});
