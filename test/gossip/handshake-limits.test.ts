import test from 'ava';
import fc from 'fast-check';
import { parseIp, type IpAddress } from '../../core/address.ts';
import { HandshakeLimits, type Authenticating } from '../../gossip/handshake-limits.ts';

const SECOND = 1_000;

/** Address number i of a network that nobody uses. */
function v4(i: number): IpAddress {
  return { family: 4, value: 0xc6120000n + BigInt(i) };
}

function ip(text: string): IpAddress {
  return parseIp(text)!;
}

function limits(passwords = 1): HandshakeLimits {
  return new HandshakeLimits(() => passwords);
}

function inbound(address: IpAddress, conn = 1): Authenticating {
  return { conn, remote: { ip: address }, outbound: false };
}

function outbound(address: IpAddress, conn = 2): Authenticating {
  return { conn, remote: { ip: address }, outbound: true };
}

/** Opens `count` connections from `address`, numbered from `first`; the reason why the next one is refused, if it is. */
function open(
  made: HandshakeLimits,
  address: IpAddress,
  count: number,
  first = 1,
  now = 0,
): string | undefined {
  for (let i = 0; i < count; i++) made.onAccepted(first + i, address, now);
  return made.refuses(address, now);
}

for (const [count, reason] of [
  [7, undefined],
  [8, 'half-open-limit'],
] as const) {
  test(`a source with ${count} unfinished connections ${reason ? 'gets no further one' : 'gets another'}`, (t) => {
    const made = limits();
    t.is(open(made, v4(1), count), reason);
    t.is(made.refuses(v4(2), 0), undefined, 'another source is not concerned');
  });
}

test('an unfinished connection that ended or said hello makes room for another', (t) => {
  const made = limits();
  open(made, v4(1), 8);
  made.onEnded(inbound(v4(1), 3), 0);
  t.is(open(made, v4(1), 1, 9), 'half-open-limit');
  made.onHello(9);
  t.is(made.refuses(v4(1), 0), undefined);
});

test('the oldest of too many unfinished connections makes way once it has had two seconds', (t) => {
  const made = limits();
  open(made, v4(1), 8);
  t.is(made.refuses(v4(1), 2 * SECOND - 1), 'half-open-limit');
  t.is(made.refuses(v4(1), 2 * SECOND), undefined);
  t.is(made.onAccepted(9, v4(1), 2 * SECOND), 1, 'the oldest is closed in exchange');
  t.is(made.sizes.halfOpen, 9, 'until its end is told');
});

test('of more than 256 unfinished connections the source with the most loses its oldest', (t) => {
  const made = limits();
  open(made, v4(0), 3, 1_000);
  for (let i = 1; i <= 252; i++) t.is(made.onAccepted(i, v4(i), 0), undefined);
  t.is(made.onAccepted(255, v4(255), 0), undefined, 'number 256');
  t.is(made.onAccepted(256, v4(256), 0), 1_000, 'number 257');
});

test('an IPv6 source is a /64, an IPv4 one a single address', (t) => {
  const made = limits();
  for (let i = 0; i < 8; i++) made.onAccepted(i, ip(`2001:db8::${i + 1}`), 0);
  t.is(made.refuses(ip('2001:db8::ffff:ffff'), 0), 'half-open-limit');
  t.is(made.refuses(ip('2001:db8:0:1::1'), 0), undefined);
  for (let i = 0; i < 10; i++) t.is(made.onGuesses(inbound(ip(`2001:db8:7::${i + 1}`)), 1, 0), undefined);
  t.is(made.onGuesses(inbound(ip('2001:db8:7::99')), 1, 0), 'guess-limit');
  t.is(made.onGuesses(inbound(ip('2001:db8:7:1::1')), 1, 0), undefined);
});

/** How many of `wanted` handshakes, each from another address, are answered at `now`. */
function answered(
  made: HandshakeLimits,
  addresses: readonly IpAddress[],
  guesses: number,
  now: number,
): number {
  return addresses.filter((address) => made.onGuesses(inbound(address), guesses, now) === undefined).length;
}

const strangers = Array.from({ length: 500 }, (_, i) => v4(1_000 + i));
const members = Array.from({ length: 500 }, (_, i) => v4(2_000 + i));

for (const [passwords, held, answers] of [
  [1, 'one password is', 100],
  [2, 'two passwords are', 50],
] as const) {
  test(`strangers share ${answers} handshakes per second where ${held} held, members twice as many`, (t) => {
    const made = limits(passwords);
    for (const member of members) made.onProved(inbound(member));
    t.is(answered(made, strangers.slice(0, answers - 1), passwords, 0), answers - 1);
    t.is(made.refuses(v4(1), 0), undefined, 'one is left');
    t.is(answered(made, strangers.slice(answers), passwords, 0), 1, 'number 101 is refused');
    t.is(made.refuses(v4(1), 0), 'handshake-rate', 'the next one before anything is done for it');
    t.is(made.refuses(members[0]!, 0), undefined, 'not so a member');
    t.is(answered(made, members, passwords, 0), 2 * answers);
    t.is(made.refuses(members[499]!, 0), 'handshake-rate');
    const again = strangers.map((_, i) => v4(5_000 + i));
    t.is(answered(made, again, passwords, SECOND / answers - 1), 0);
    t.is(answered(made, again, passwords, SECOND / answers), 1);
    t.is(answered(made, again.slice(1), passwords, SECOND + SECOND / answers), answers);
  });
}

test('a source has ten guesses, then one per 30 s', (t) => {
  const made = limits();
  const guess = (now: number) => made.onGuesses(inbound(v4(1)), 1, now);
  for (let i = 1; i <= 9; i++) t.is(guess(0), undefined);
  t.is(made.refuses(v4(1), 0), undefined);
  t.is(guess(0), undefined, 'the tenth');
  t.is(made.refuses(v4(1), 0), 'guess-limit', 'before anything is kept for the connection');
  t.is(guess(0), 'guess-limit', 'and before anything is computed, for one that was accepted earlier');
  t.is(guess(30 * SECOND - 1), 'guess-limit');
  t.is(guess(30 * SECOND), undefined);
  t.is(guess(30 * SECOND), 'guess-limit');
  t.is(guess(60 * SECOND), undefined);
  t.is(made.refuses(v4(2), 60 * SECOND), undefined, 'another source is not concerned');
});

test('a handshake that is answered for two passwords counts as two guesses', (t) => {
  const made = limits(2);
  const guess = (now: number) => made.onGuesses(inbound(v4(1)), 2, now);
  for (let i = 1; i <= 5; i++) t.is(guess(0), undefined);
  t.is(guess(0), 'guess-limit');
  t.is(guess(60 * SECOND - 1), 'guess-limit');
  t.is(guess(60 * SECOND), undefined);
});

test('a proof clears the source', (t) => {
  const made = limits();
  for (let i = 0; i < 10; i++) made.onGuesses(inbound(v4(1)), 1, 0);
  made.onProved(inbound(v4(1)));
  for (let i = 0; i < 10; i++) t.is(made.onGuesses(inbound(v4(1)), 1, 0), undefined);
  t.is(made.onGuesses(inbound(v4(1)), 1, 0), 'guess-limit');
});

test('a known address in a /64 has connections and guesses of its own, and none of them are for strangers beside it', (t) => {
  const made = limits();
  const [member, stranger] = [ip('2001:db8::1'), ip('2001:db8::2')];
  made.onProved(inbound(member));
  open(made, stranger, 8);
  t.is(made.refuses(stranger, 0), 'half-open-limit');
  t.is(open(made, member, 7, 100), undefined);
  t.is(open(made, member, 1, 107), 'half-open-limit');
  for (let conn = 1; conn <= 8; conn++) made.onEnded(inbound(stranger, conn), 0);
  for (let conn = 100; conn <= 107; conn++) made.onEnded(inbound(member, conn), 0);
  for (let i = 0; i < 10; i++) made.onGuesses(inbound(stranger), 1, 0);
  t.is(made.refuses(stranger, 0), 'guess-limit');
  t.is(made.refuses(member, 0), undefined);
  t.is(made.onGuesses(inbound(member), 1, 0), undefined);
  made.onProved(inbound(member));
  t.is(made.refuses(stranger, 0), 'guess-limit', 'the proof of another clears nothing');
});

test('hosts of one /64 that prove themselves for the first time give their source its guesses back', (t) => {
  const made = limits();
  for (let i = 1; i <= 40; i++) {
    const newcomer = inbound(ip(`2001:db8::${i}`));
    t.is(made.onGuesses(newcomer, 1, 0), undefined);
    made.onProved(newcomer);
  }
});

test('connections of known addresses make way only when there are no others', (t) => {
  const made = limits();
  made.onProved(inbound(v4(0)));
  open(made, v4(0), 8, 1_000);
  for (let i = 1; i <= 248; i++) t.is(made.onAccepted(i, v4(i), 0), undefined);
  for (let i = 249; i <= 548; i++) {
    const evicted = made.onAccepted(i, v4(i), 0);
    t.is(evicted, i - 248, 'that of the stranger who came first');
    made.onEnded(inbound(v4(evicted!), evicted), 0);
  }
  for (let i = 301; i <= 548; i++) made.onProved(inbound(v4(i)));
  t.is(made.onAccepted(2_000, v4(2_000), 0), 2_000, 'the only stranger');
  made.onEnded(inbound(v4(2_000), 2_000), 0);
  made.onProved(inbound(v4(2_000)));
  t.is(made.onAccepted(2_000, v4(2_000), 0), 1_000, 'that of the known address with most of them');
});

test('a stranger is who dials us from an address that proved nothing', (t) => {
  const made = limits();
  t.true(made.isStranger(inbound(v4(1))));
  t.false(made.isStranger(outbound(v4(1))));
  made.onProved(inbound(v4(1)));
  t.false(made.isStranger(inbound(v4(1))));
  t.true(made.isStranger(inbound(v4(2))));
});

test('without a password there is nothing to guess and nobody to know', (t) => {
  const made = limits(0);
  made.onProved(inbound(v4(1)));
  t.is(made.sizes.known, 0);
  t.is(made.refuses(v4(1), 0), undefined);
});

/** One dial to `address` on which so many tags were checked in vain. */
function failDial(made: HandshakeLimits, address: IpAddress, tags: number, now: number): void {
  made.onGuesses(outbound(address), tags, now);
  made.onEnded(outbound(address), now);
}

test('an address that failed to prove itself to ten dials is dialled once per 30 s', (t) => {
  const made = limits();
  for (let i = 0; i < 10; i++) failDial(made, v4(1), 1, 0);
  // By then all failing dials have had their one per second again.
  t.is(made.refusesDial(v4(1), 29 * SECOND), 'dial-guess-limit');
  t.is(made.refusesDial(v4(1), 30 * SECOND), undefined);
  failDial(made, v4(1), 1, 30 * SECOND);
  t.is(made.refusesDial(v4(1), 59 * SECOND), 'dial-guess-limit');
  t.is(made.refusesDial(v4(1), 60 * SECOND), undefined);
});

test('once a password is added, dials that failed without it count no more', (t) => {
  const made = limits();
  for (let i = 0; i < 10; i++) failDial(made, v4(1), 1, 0);
  made.onPasswordAdded();
  t.is(made.refusesDial(v4(1), 0), undefined);
  t.is(made.sizes.dialGuesses, 0);
});

test('dials to addresses that failed share one per second, others are free', (t) => {
  const made = limits();
  failDial(made, v4(1), 1, 0);
  t.is(made.refusesDial(v4(1), SECOND - 1), 'dial-guess-limit');
  t.is(made.refusesDial(v4(2), 0), undefined, 'one that did not fail');
  t.is(made.refusesDial(v4(1), SECOND), undefined);
  failDial(made, v4(2), 2, SECOND);
  t.is(made.refusesDial(v4(1), 3 * SECOND - 1), 'dial-guess-limit', 'two tags are two guesses');
  t.is(made.refusesDial(v4(1), 3 * SECOND), undefined);
});

test('an acceptor that proves itself is cleared, and one that shows no tag made no guess', (t) => {
  const made = limits();
  made.onEnded(outbound(v4(1)), 0);
  t.is(made.refusesDial(v4(1), 0), undefined);
  failDial(made, v4(1), 1, 0);
  made.onGuesses(outbound(v4(1)), 1, 0);
  made.onProved(outbound(v4(1)));
  made.onEnded(outbound(v4(1)), 0);
  t.is(made.refusesDial(v4(1), 0), undefined);
  t.is(made.sizes.checking, 0);
});

test('success with an acceptor clears nothing of another one in its /64', (t) => {
  const made = limits();
  const [hostile, honest] = [ip('2001:db8::2'), ip('2001:db8::1')];
  for (let i = 0; i < 10; i++) failDial(made, hostile, 1, 0);
  t.false(made.isSuspect(honest, 0));
  t.is(made.refusesDial(honest, 0), undefined);
  made.onGuesses(outbound(honest), 1, 0);
  made.onProved(outbound(honest));
  t.is(made.refusesDial(hostile, 29 * SECOND), 'dial-guess-limit');
});

test('an address that was dialled with success is known when it dials us', (t) => {
  const made = limits();
  made.onProved(outbound(v4(1)));
  t.is(answered(made, strangers, 1, 0), 100);
  t.is(made.refuses(v4(1), 0), undefined);
});

test('strangers cannot make us forget a guess, and what is remembered of them stays bounded', (t) => {
  const made = limits();
  let now = 0;
  /** Guesses of one stranger, as fast as strangers may. */
  const guess = (stranger: number, count: number): void => {
    for (let i = 0; i < count; i++) t.is(made.onGuesses(inbound(v4(stranger)), 1, (now += 10)), undefined);
  };
  guess(0, 10);
  // The worst that they can do: each guesses just often enough to be remembered when 300 s are over.
  let strangers = 0;
  while (now < 299 * SECOND) {
    guess(++strangers, Math.ceil((300 * SECOND - now) / (30 * SECOND)));
    if (now < 29 * SECOND) t.is(made.refuses(v4(0), now), 'guess-limit');
  }
  t.true(made.sizes.guesses > 8_000 && made.sizes.guesses < 10_000, `${made.sizes.guesses} remembered`);
  for (let i = 0; i < 30_000; i++) guess(100_000 + i, 1);
  t.true(made.sizes.guesses < 7_000, `${made.sizes.guesses} remembered of those with one guess each`);
});

test('no course of events makes any table grow beyond its bound', (t) => {
  const address = fc.oneof(
    fc.nat({ max: 40 }).map(v4),
    fc.nat({ max: 1_000_000 }).map(v4),
    fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value): IpAddress => ({ family: 6, value })),
  );
  const step = fc.record({
    address,
    wait: fc.oneof(fc.constant(0), fc.nat({ max: 50 }), fc.nat({ max: 20_000 })),
    what: fc.constantFrom('knock', 'knock', 'guess', 'guess', 'prove', 'end', 'hello', 'dial', 'fail'),
    guesses: fc.constantFrom(1, 2),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 3_000, size: 'max' }), (steps) => {
      const made = limits(2);
      const live = new Map<number, Authenticating>();
      let now = 0;
      let conn = 0;
      const end = (which: number | undefined): void => {
        const connection = which === undefined ? undefined : live.get(which);
        if (connection === undefined) return;
        live.delete(connection.conn);
        made.onEnded(connection, now);
      };
      for (const { address: from, wait, what, guesses } of steps) {
        now += wait;
        const oldest = live.keys().next().value;
        const some = oldest === undefined ? undefined : live.get(oldest);
        if (what === 'knock' && made.refuses(from, now) === undefined) {
          live.set(++conn, inbound(from, conn));
          end(made.onAccepted(conn, from, now));
        } else if (what === 'dial' && made.refusesDial(from, now) === undefined) {
          live.set(++conn, outbound(from, conn));
        } else if (what === 'guess' && some !== undefined) {
          if (made.onGuesses(some, guesses, now) !== undefined) end(some.conn);
        } else if (what === 'prove' && some !== undefined) made.onProved(some);
        else if (what === 'hello' && some !== undefined) made.onHello(some.conn);
        else if (what === 'end' || what === 'fail') end(oldest);
        const { halfOpen, guesses: guessed, known, dialGuesses, checking } = made.sizes;
        if (halfOpen > 256 || known > 4_096 || checking > live.size) return false;
        if (guessed > 60_000 || dialGuesses > 60_000) return false;
      }
      for (const left of [...live.keys()]) end(left);
      return made.sizes.halfOpen === 0 && made.sizes.checking === 0;
    }),
    { numRuns: 100, seed: 6_783 },
  );
  t.pass();
});

test('only who proves a password can displace a known address, the one that proved it longest ago', (t) => {
  const made = limits();
  for (let i = 0; i < 4_097; i++) made.onProved(inbound(v4(i)));
  t.is(made.sizes.known, 4_096);
  for (let i = 0; i < 100; i++) made.onGuesses(inbound(ip(`2001:db8:0:${i.toString(16)}::1`)), 1, 0);
  t.is(made.refuses(v4(0), 0), 'handshake-rate', 'forgotten');
  t.is(made.refuses(v4(1), 0), undefined, 'known');
});
