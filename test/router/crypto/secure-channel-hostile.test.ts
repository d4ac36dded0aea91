import test from 'ava';
import fc from 'fast-check';
import { concatBytes, utf8 } from '../../../core/bytes.ts';
import { fakePrimitives } from '../../sim/fake-primitives.ts';
import { ChannelPair, End, allPrimitives } from './channel-pair.ts';
import type { EndOptions, Role, Wire } from './channel-pair.ts';
import type { PlayedPrimitives } from './played-primitives.ts';

const secret: EndOptions = { passwords: [utf8('secret'), utf8('older')] };
const open: EndOptions = { passwords: [] };
const roles: readonly Role[] = ['dialler', 'acceptor'];
const messages = ['first', 'second', ''].map(utf8);

const runs = (count: number): fc.Parameters<unknown> => ({ numRuns: count, seed: 6_783 });
const anyBytes = fc.uint8Array({ maxLength: 3_000, size: 'max' });
const anyRole = fc.constantFrom(...roles);
const anyPassword = fc.constantFrom(secret, open);

/** A conversation with a few messages each way over this wire, as far as it gets. */
function converse(primitives: PlayedPrimitives, password: EndOptions, wire?: Wire): ChannelPair {
  const pair = new ChannelPair(primitives, password, password, wire).run();
  for (const message of messages) {
    for (const end of [pair.dialler, pair.acceptor]) if (end.opened) end.channel.send(message);
  }
  return pair.run();
}

function other(pair: ChannelPair, role: Role): End {
  return role === 'dialler' ? pair.acceptor : pair.dialler;
}

/** Flips one bit of everything that `role` writes in its life. */
function flipper(role: Role, bit: number): Wire {
  let position = 0;
  return (bytes, from) => {
    if (from !== role) return [bytes];
    const at = (bit >> 3) - position;
    position += bytes.length;
    return [at >= 0 && at < bytes.length ? bytes.with(at, bytes[at]! ^ (1 << (bit & 7))) : bytes];
  };
}

/** Whatever happened, at the end there is one failure, and only true messages came before it. */
function failsProperly(end: End): boolean {
  end.channel.onTimeout(10_000);
  end.drain();
  const failures = end.reports.filter((report) => report.type === 'failed').length;
  const prefix = end.messages.every((message, i) => Buffer.compare(message, messages[i] ?? utf8('?')) === 0);
  return failures === 1 && end.reports.at(-1)?.type === 'failed' && prefix;
}

/** Preamble, count and first offer come before the second offer, which nobody uses where the first one fits. */
const UNUSED_OFFER = { from: 8 * (44 + 1 + 96), to: 8 * (44 + 1 + 2 * 96) };

function flipFails(primitives: PlayedPrimitives, role: Role, bit: number): boolean {
  if (role === 'acceptor' && bit >= UNUSED_OFFER.from && bit < UNUSED_OFFER.to) return true;
  const pair = converse(primitives, secret, flipper(role, bit));
  const [sender, receiver] = [role === 'dialler' ? pair.dialler : pair.acceptor, other(pair, role)];
  // A length that was made larger waits for bytes that belong to later frames.
  for (
    let sent = 0;
    sent < 1_100_000 && receiver.opened && !receiver.failure && !sender.failure;
    sent += 60_000
  ) {
    sender.channel.send(new Uint8Array(60_000));
    pair.run();
  }
  return failsProperly(receiver);
}

test('a bit flipped anywhere between two ends makes the receiver fail', (t) => {
  const honest = converse(fakePrimitives, secret);
  t.deepEqual(honest.acceptor.messages, messages);
  for (const role of roles) {
    const bits = 8 * other(honest, role === 'dialler' ? 'acceptor' : 'dialler').written.length;
    for (let bit = 0; bit < bits; bit++) {
      if (!flipFails(fakePrimitives, role, bit)) t.fail(`bit ${bit} from the ${role} went unnoticed`);
    }
  }
});

test('with libsodium too, a flipped bit makes the receiver fail', (t) => {
  const [, sodium] = allPrimitives[0]!;
  const shortest = 240;
  const property = fc.property(anyRole, fc.nat({ max: 8 * shortest - 1 }), (role, bit) =>
    flipFails(sodium, role, bit),
  );
  t.notThrows(() => fc.assert(property, runs(25)));
});

test('however the wire cuts a conversation into pieces, both ends report the same', (t) => {
  const property = fc.property(
    anyPassword,
    fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }),
    (password, cuts) => {
      let next = 0;
      const cutter: Wire = (bytes) => {
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < bytes.length;) {
          const length = cuts[next++ % cuts.length]!;
          pieces.push(bytes.subarray(at, at + length));
          at += length;
        }
        return pieces;
      };
      const [whole, cut] = [converse(fakePrimitives, password), converse(fakePrimitives, password, cutter)];
      t.deepEqual(cut.dialler.reports, whole.dialler.reports);
      t.deepEqual(cut.acceptor.reports, whole.acceptor.reports);
    },
  );
  t.notThrows(() => fc.assert(property, runs(100)));
});

test('everything that arrives while a task runs is kept for afterwards', (t) => {
  const pair = new ChannelPair(fakePrimitives, secret, secret);
  const whole = converse(fakePrimitives, secret);
  const [begin, rest] = [whole.dialler.written.subarray(0, 60), whole.dialler.written.subarray(60)];
  pair.acceptor.drain();
  pair.acceptor.channel.onBytes(begin, 0);
  pair.acceptor.channel.onBytes(rest, 0);
  pair.acceptor.drain();
  t.deepEqual(pair.acceptor.reports, whole.acceptor.reports);
});

test('random bytes never throw and end every handshake in one failure', (t) => {
  const property = fc.property(anyRole, fc.array(anyBytes, { maxLength: 4 }), (role, pieces) => {
    const end = new End(role, fakePrimitives, secret, 1);
    for (const piece of pieces) {
      end.channel.onBytes(piece, 0);
      end.drain();
    }
    return failsProperly(end) && end.opened === undefined;
  });
  t.notThrows(() => fc.assert(property, runs(300)));
});

test('random bytes after a proper preamble never throw and end every handshake in one failure', (t) => {
  const property = fc.property(anyRole, fc.array(anyBytes, { maxLength: 4 }), (role, pieces) => {
    const end = new End(role, fakePrimitives, secret, 1);
    const stranger = new End(role === 'dialler' ? 'acceptor' : 'dialler', fakePrimitives, secret, 2);
    for (const piece of [...stranger.drain(), ...pieces]) {
      end.channel.onBytes(piece, 0);
      end.drain();
    }
    return failsProperly(end) && end.opened === undefined;
  });
  t.notThrows(() => fc.assert(property, runs(300)));
});

test('random bytes on an open channel never throw and never become a sealed message', (t) => {
  const property = fc.property(anyPassword, fc.array(anyBytes, { maxLength: 6 }), (password, pieces) => {
    const { acceptor } = new ChannelPair(fakePrimitives, password, password).run();
    for (const piece of pieces) acceptor.channel.onBytes(piece, 0);
    acceptor.drain();
    const failures = acceptor.reports.filter((report) => report.type === 'failed').length;
    return failures <= 1 && (password === open || acceptor.messages.length === 0);
  });
  t.notThrows(() => fc.assert(property, runs(300)));
});

test('writes that are lost, doubled, swapped or cut short never pass for the honest conversation', (t) => {
  const honest = converse(fakePrimitives, secret);
  const spoilers: readonly ((writes: Uint8Array[], i: number) => Uint8Array[])[] = [
    (writes, i) => writes.toSpliced(i, 1),
    (writes, i) => writes.toSpliced(i, 0, writes[i]!),
    (writes, i) => writes.toSpliced(i, 2, ...writes.slice(i, i + 2).reverse()),
    (writes, i) => writes.with(i, writes[i]!.subarray(0, -1)),
  ];
  const { writes } = honest.dialler;
  for (const [kind, spoil] of spoilers.entries()) {
    for (let i = 0; i < writes.length - 1; i++) {
      const acceptor = new ChannelPair(fakePrimitives, secret, secret).acceptor;
      for (const bytes of [...spoil([...writes], i), new Uint8Array(70_000)])
        acceptor.channel.onBytes(bytes, 0);
      acceptor.drain();
      t.true(failsProperly(acceptor), `spoiler ${kind} at write ${i}`);
    }
  }
  t.true(concatBytes(...writes).length > 100);
});
