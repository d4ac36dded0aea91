import test, { type ExecutionContext } from 'ava';
import { concatBytes, equalBytes, toHex, utf8 } from '../../../core/bytes.ts';
import { SeededRandom } from '../../../core/random.ts';
import type { CryptoJob, CryptoResult } from '../../../gossip/secure-channel.ts';
import { CHANNEL_ID, connectionId } from '../../../router/crypto/channel-keys.ts';
import { associatedB, tagsOf, type ExchangeContext } from '../../../router/crypto/password-exchange.ts';
import { encodePreamble } from '../../../router/crypto/preamble.ts';
import { End, allPrimitives, type Role } from './channel-pair.ts';
import type { PlayedPrimitives } from './played-primitives.ts';

const [, sodium] = allPrimitives[0]!;
const PREAMBLE = 44;
const ELEMENT = 32;
const TAG = 64;
const HELD = ['correct horse', 'battery staple'];

/** An end that holds the first `count` passwords, and every job it had done. */
function victim(role: Role, count: number) {
  const jobs: { readonly job: CryptoJob; readonly result: CryptoResult }[] = [];
  const primitives: PlayedPrimitives = {
    ...sodium,
    runJob: (job) => {
      const result = sodium.runJob(job);
      jobs.push(structuredClone({ job, result }));
      return result;
    },
  };
  const end = new End(role, primitives, { passwords: HELD.slice(0, count).map(utf8) }, 7);
  end.drain();
  return { end, jobs };
}

/** Somebody who speaks the protocol and knows no password: a preamble, and what follows from the victim's. */
class Attacker {
  readonly preamble: Uint8Array;
  readonly context: ExchangeContext;

  constructor(role: Role, victimsPreamble: Uint8Array, password = true) {
    const nonce = new SeededRandom(99).bytes(32);
    this.preamble = encodePreamble({ versions: { min: 1, max: 1 }, password, nonce });
    const [a, b] = role === 'dialler' ? [this.preamble, victimsPreamble] : [victimsPreamble, this.preamble];
    const sid = connectionId(sodium, a.subarray(12), b.subarray(12));
    this.context = { primitives: sodium, sid, preambleA: a, preambleB: b };
  }

  /** A dialler's scalar and element for one guess at the password. */
  guess(password: string) {
    const seed = new SeededRandom(100).bytes(64);
    const { sid } = this.context;
    const job: CryptoJob = {
      type: 'cpace-start',
      password: utf8(password),
      channelId: CHANNEL_ID,
      sid,
      seed,
    };
    const result = sodium.runJob(job);
    if (result.type !== 'cpace-started') throw new Error('no element');
    return result;
  }

  /** Whether an acceptor's tag says that the guess is right. */
  confirms(
    guess: ReturnType<Attacker['guess']>,
    elementB: Uint8Array,
    tag: Uint8Array,
    index: number,
  ): boolean {
    const { sid, preambleA } = this.context;
    const associated = { associatedA: preambleA, associatedB: associatedB(this.context, index) };
    const elements = { elementA: guess.element, elementB };
    const result = sodium.runJob({
      type: 'cpace-finish',
      sid,
      scalar: guess.scalar,
      ...associated,
      ...elements,
    });
    if (result.type !== 'cpace-finished') throw new Error('no key');
    return equalBytes(tagsOf(this.context, result.isk, guess.element, elementB, index).b, tag);
  }
}

/** Magic, versions 1 to 1, the flag that a password is set, zero, a nonce: whatever the passwords are. */
function assertPreamble(t: ExecutionContext, bytes: Uint8Array): void {
  t.is(bytes.length, PREAMBLE);
  t.deepEqual(bytes.subarray(0, 12), concatBytes(utf8('weave-ts'), Uint8Array.of(1, 1, 1, 0)));
  t.deepEqual(bytes.subarray(12), new SeededRandom(7).bytes(32), 'the nonce, from the random source');
}

for (const role of ['dialler', 'acceptor'] as const) {
  test(`to silence, garbage or no password a ${role} says its preamble and nothing else`, (t) => {
    const others: Uint8Array[] = [
      new Uint8Array(0),
      utf8('GET / HTTP/1.1\r\n\r\n'),
      new Attacker(role === 'dialler' ? 'acceptor' : 'dialler', new Uint8Array(PREAMBLE), false).preamble,
      encodePreamble({ versions: { min: 2, max: 9 }, password: true, nonce: new Uint8Array(32) }),
    ];
    for (const other of others) {
      const { end, jobs } = victim(role, 2);
      end.channel.onBytes(other, 0);
      end.channel.onTimeout(10_000);
      end.drain();
      assertPreamble(t, end.written);
      t.is(jobs.length, 0, 'nothing was computed');
      t.truthy(end.failure);
    }
  });
}

for (const count of [1, 2]) {
  test(`an acceptor of ${count} password(s) shows preamble, count, and one element and tag for each, then nothing`, (t) => {
    const { end, jobs } = victim('acceptor', count);
    const attacker = new Attacker('dialler', end.written);
    const { element } = attacker.guess('wrong');
    end.channel.onBytes(concatBytes(attacker.preamble, element), 0);
    end.drain();
    const { written } = end;
    assertPreamble(t, written.slice(0, PREAMBLE));
    t.is(written.length, PREAMBLE + 1 + count * (ELEMENT + TAG));
    t.is(written[PREAMBLE], count);
    t.is(jobs.length, count);
    for (const [index, { result }] of jobs.entries()) {
      if (result.type !== 'cpace-answered') return t.fail(result.type);
      const offer = concatBytes(
        result.element,
        tagsOf(attacker.context, result.isk, element, result.element, index).b,
      );
      const at = PREAMBLE + 1 + index * offer.length;
      t.is(toHex(written.slice(at, at + offer.length)), toHex(offer));
    }
    end.channel.onBytes(concatBytes(Uint8Array.of(1, count - 1), new Uint8Array(TAG)), 0);
    end.drain();
    t.is(end.failure, 'password-mismatch');
    t.is(end.written.length, written.length, 'the refusal is silent');
  });

  test(`a dialler of ${count} password(s) shows preamble and one element, then that no tag fits`, (t) => {
    const { end, jobs } = victim('dialler', count);
    const attacker = new Attacker('acceptor', end.written);
    end.channel.onBytes(attacker.preamble, 0);
    end.drain();
    assertPreamble(t, end.written.slice(0, PREAMBLE));
    t.is(end.written.length, PREAMBLE + ELEMENT);
    const [started] = jobs;
    if (started?.result.type !== 'cpace-started') return t.fail('no element');
    t.deepEqual(end.written.slice(PREAMBLE), started.result.element);
    const offer = concatBytes(attacker.guess('wrong').element, new Uint8Array(TAG));
    end.channel.onBytes(concatBytes(Uint8Array.of(2), offer, offer), 0);
    end.drain();
    t.is(end.failure, 'password-mismatch');
    t.deepEqual(end.written.slice(PREAMBLE + ELEMENT), Uint8Array.of(0));
  });

  test(`one element of a stranger is one guess at each of ${count} password(s), each under a scalar of its own`, (t) => {
    for (const guessed of [...HELD, 'wrong']) {
      const { end, jobs } = victim('acceptor', count);
      const attacker = new Attacker('dialler', end.written);
      const guess = attacker.guess(guessed);
      end.channel.onBytes(concatBytes(attacker.preamble, guess.element), 0);
      end.drain();
      const offers = Array.from({ length: count }, (_, i) => {
        const at = PREAMBLE + 1 + i * (ELEMENT + TAG);
        return {
          element: end.written.slice(at, at + ELEMENT),
          tag: end.written.slice(at + ELEMENT, at + ELEMENT + TAG),
        };
      });
      const right = offers.map(({ element, tag }, i) => attacker.confirms(guess, element, tag, i));
      t.deepEqual(
        right,
        HELD.slice(0, count).map((held) => held === guessed),
      );
      if (count === 2) {
        t.false(
          attacker.confirms(guess, offers[0]!.element, offers[1]!.tag, 1),
          'a tag is for its own element',
        );
        t.false(attacker.confirms(guess, offers[1]!.element, offers[0]!.tag, 0));
      }
      const seeds = jobs.map(({ job }) => job.type === 'cpace-answer' && toHex(job.seed));
      t.is(new Set(seeds).size, count);
    }
  });
}

test('a second element on a connection is not answered, whatever byte it begins with', (t) => {
  for (let first = 0; first < 256; first++) {
    const end = new End('acceptor', allPrimitives[1]![1], { passwords: HELD.map(utf8) }, 7);
    end.drain();
    const attacker = new Attacker('dialler', end.written);
    end.channel.onBytes(concatBytes(attacker.preamble, new Uint8Array(ELEMENT).fill(9)), 0);
    end.drain();
    const before = end.written.length;
    for (let i = 0; i < 4; i++) {
      end.channel.onBytes(new Uint8Array(ELEMENT).fill(7).with(0, first), 0);
      end.drain();
    }
    t.is(end.written.length, before);
    t.truthy(end.failure);
  }
});

test('a second element that comes with the first is not answered either', (t) => {
  const { end, jobs } = victim('acceptor', 2);
  const attacker = new Attacker('dialler', end.written);
  const { element } = attacker.guess('wrong');
  end.channel.onBytes(concatBytes(attacker.preamble, element, element, element), 0);
  end.drain();
  t.is(jobs.length, 2);
  t.is(end.written.length, PREAMBLE + 1 + 2 * (ELEMENT + TAG));
  t.truthy(end.failure);
});

test('a dialler checks no more than two tags', (t) => {
  const { end, jobs } = victim('dialler', 2);
  const attacker = new Attacker('acceptor', end.written);
  end.channel.onBytes(attacker.preamble, 0);
  end.drain();
  const offer = concatBytes(attacker.guess('wrong').element, new Uint8Array(TAG));
  end.channel.onBytes(concatBytes(Uint8Array.of(3), offer, offer, offer), 0);
  end.drain();
  t.is(end.failure, 'handshake-malformed');
  t.is(jobs.length, 1, 'its own element only');
});
