import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { toHex } from '../../../core/bytes.ts';
import { SendPlan, type EngineDrop } from '../../../router/engine/port.ts';
import {
  COOKIE_A,
  COOKIE_B,
  INDEX_A,
  INDEX_B,
  KEY_AB,
  NEXT_AB,
  NEXT_BA,
  PATH,
  SESSION,
  TAG,
  addEntry,
  eventually,
  join,
  key,
  received,
  scenesOf,
  type DefineScene,
  type MakeNet,
  type Observer,
  type Scene,
} from './contract.ts';
import { openDatagram, plainDatagram, sealDatagram } from './datagram-oracle.ts';
import { REPLAY_CASES } from './replay-table.ts';

const RUNS = 100;
const SEED = 6_783;
/** Few enough for the least receive buffer that a kernel gives. */
const BURST = 40;
/** Many bits away from the direct index, so that no flipped bit leads from one to the other. */
const ALIAS = 0x4ffffffd;
const HELLO = Uint8Array.of(4, 0, 104, 101, 108, 108, 111);
const COOKIES = { a: { send: COOKIE_B, receive: COOKIE_A }, b: { send: COOKIE_A, receive: COOKIE_B } };

/** Around the ends of the cipher's blocks, where short messages become long ones to the addon, and long ones. */
const LENGTHS = [...range(2, 260), ...range(1_340, 1_412), ...range(2_230, 2_380), 8_900, 8_959];

/** Of messages that leave and come as one train; and how many: fewer, as many, and more than are sealed at once. */
const SAME_LENGTHS = [3, 18, 64, 66, 129, 1_390, 1_404];
const COUNTS = [5, 12, 16, 17, 40];

const anyInner = fc.uint8Array({ minLength: 2, maxLength: 1_500, size: 'max' });

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, i) => first + i);
}

/** What an engine puts on the wire and takes from it, held against the oracle; attacks included. */
export function wireContract(name: string, make: MakeNet): void {
  const scene = scenesOf(name, make);
  oracle(scene);
  replayTable(scene);
  attacks(scene);
}

/** Engines whose keys seal two datagrams and no more: what they do at the end of a counter. */
export function exhaustionContract(name: string, make: MakeNet): void {
  const scene = scenesOf(name, make);
  const three = [0, 1, 2].map((n) => Uint8Array.of(4, 0, n));

  for (const plain of [false, true]) {
    const what = plain ? 'plain' : 'sealed';
    scene(`${what} counters refuse to wrap, and a datagram without one is not sent`, async (t, net) => {
      const { a, outsider, seenA } = net;
      join(a, net.b, COOKIES);
      a.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex: INDEX_B }]);
      a.engine.send(planOf(three, plain));
      await seenA.dropCount(t, 'counter-exhausted');
      a.engine.send(planOf(three, plain));
      await seenA.dropCount(t, 'counter-exhausted', 4);
      const datagrams = await received(t, outsider, 2);
      t.deepEqual(
        datagrams.map((datagram) => openDatagram(KEY_AB, datagram).counter),
        [0n, 1n],
      );
    });
  }

  scene('the keys of the next phase count from zero when those of one are used up', async (t, net) => {
    const { a, outsider, seenA } = net;
    join(a, net.b);
    a.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex: INDEX_B }]);
    a.engine.send(planOf(three, false));
    await seenA.dropCount(t, 'counter-exhausted');
    a.engine.configure([key(1, NEXT_AB, NEXT_BA), { type: 'send-phase', session: SESSION, phase: 1 }]);
    a.engine.send(planOf(three.slice(0, 1), false));
    const datagrams = await received(t, outsider, 3);
    t.like(openDatagram(NEXT_AB, datagrams[2]!), { phase: 1, counter: 0n, inner: three[0] });
  });
}

function oracle(scene: DefineScene): void {
  scene('random messages are sealed as the oracle seals them', async (t, { a, b, outsider }) => {
    join(a, b);
    a.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex: 0xfedcba98 }]);
    const inners = fc.sample(anyInner, { numRuns: RUNS, seed: SEED });
    for (let at = 0; at < inners.length; at += BURST) {
      const burst = inners.slice(at, at + BURST);
      a.engine.send(planOf(burst, false));
      const datagrams = await received(t, outsider, burst.length);
      const header = (i: number) => ({ index: 0xfedcba98, counter: BigInt(at + i) });
      t.deepEqual(
        datagrams.map(toHex),
        burst.map((inner, i) => toHex(sealDatagram(KEY_AB, header(i), inner))),
      );
    }
  });

  scene('random messages that the oracle seals are opened', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    const phases = Array.from({ length: 8 }, (_, phase) => keyOfPhase(phase + 1));
    b.engine.configure(phases.map((secret, i) => key(i + 1, NEXT_BA, secret)));
    const datagram = fc.record({
      phase: fc.integer({ min: 1, max: 8 }),
      counter: fc.bigInt({ min: 0n, max: 50_000n }),
      inner: anyInner,
    });
    const all = fc.sample(datagram, { numRuns: RUNS, seed: SEED });
    const distinct = [...new Map(all.map((each) => [`${each.phase} ${each.counter}`, each])).values()];
    for (const [i, { phase, counter, inner }] of distinct.entries()) {
      outsider.send(b.endpoint, sealDatagram(phases[phase - 1]!, { phase, index: INDEX_B, counter }, inner));
      if (i % BURST === 0) await seenB.messageCount(t, i + 1);
    }
    await seenB.messageCount(t, distinct.length);
    t.deepEqual(
      seenB.messages.map(({ kind, flags, payload }) => toHex(Uint8Array.of(kind, flags, ...payload))),
      distinct.map(({ inner }) => toHex(inner)),
    );
  });

  scene('messages of every length are sealed and opened as the oracle does', async (t, net) => {
    const { a, b, outsider, seenB } = net;
    join(a, b);
    a.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex: INDEX_B }]);
    const inners = LENGTHS.map((length) => Uint8Array.from({ length }, (_, i) => (i * 7 + length) & 255));
    for (let at = 0; at < inners.length; at += BURST) {
      const burst = inners.slice(at, at + BURST);
      a.engine.send(planOf(burst, false));
      const datagrams = await received(t, outsider, burst.length);
      const header = (i: number) => ({ index: INDEX_B, counter: BigInt(at + i) });
      t.deepEqual(
        datagrams.map(toHex),
        burst.map((inner, i) => toHex(sealDatagram(KEY_AB, header(i), inner))),
      );
      for (const datagram of datagrams) outsider.send(b.endpoint, datagram);
      await seenB.messageCount(t, at + burst.length);
    }
    const opened = seenB.messages.map(({ kind, flags, payload }) =>
      toHex(Uint8Array.of(kind, flags, ...payload)),
    );
    t.deepEqual(new Set(opened), new Set(inners.map(toHex)));
  });

  scene('many messages of one length are sealed and opened as the oracle does', async (t, net) => {
    const { a, b, seenB, outsider } = net;
    join(a, b);
    const toOutsider = { type: 'path', path: PATH, to: outsider.endpoint, sendIndex: INDEX_B } as const;
    const toB = { type: 'path', path: PATH, to: b.endpoint, sendIndex: INDEX_B } as const;
    let counter = 0;
    let opened = 0;
    for (const length of SAME_LENGTHS) {
      for (const count of COUNTS) {
        const inners = Array.from({ length: count }, (_, n) =>
          Uint8Array.from({ length }, (_, i) => (i < 2 ? [4, 0][i]! : (i * 7 + n) & 255)),
        );
        // The last is shorter, as the end of a super-frame.
        const burst = [...inners, inners[0]!.subarray(0, length - 1)];
        a.engine.configure([toOutsider]);
        a.engine.send(planOf(burst, false));
        const datagrams = await received(t, outsider, burst.length);
        const expected = burst.map((inner, i) =>
          toHex(sealDatagram(KEY_AB, { index: INDEX_B, counter: BigInt(counter + i) }, inner)),
        );
        t.deepEqual(datagrams.map(toHex), expected);
        counter += burst.length;
        a.engine.configure([toB]);
        a.engine.send(planOf(burst, false));
        counter += burst.length;
        await seenB.messageCount(t, opened + burst.length);
        t.deepEqual(
          seenB.messages.slice(opened).map(({ payload }) => toHex(payload)),
          burst.map((inner) => toHex(inner.subarray(2))),
        );
        opened += burst.length;
      }
    }
    t.deepEqual([...seenB.drops], []);
  });

  for (const [what, phase, secret, drop] of [
    ['another key', 0, OTHER_KEY, 'tag-invalid'],
    ['counters that were', 0, KEY_AB, 'counter-replayed'],
    ['another phase', 1, NEXT_AB, undefined],
  ] as const) {
    scene(`messages in one train with others of ${what} are taken in their order`, async (t, net) => {
      const { a, b, seenB } = net;
      join(a, b);
      b.engine.configure([key(1, NEXT_BA, NEXT_AB)]);
      a.engine.configure([
        { type: 'session', session: SESSION + 1, cookies: undefined },
        { type: 'key', session: SESSION + 1, phase, send: secret, receive: NEXT_BA },
        { type: 'send-phase', session: SESSION + 1, phase },
        { type: 'path', path: PATH, to: b.endpoint, sendIndex: INDEX_B },
      ]);
      const inners = Array.from({ length: 40 }, (_, n) => new Uint8Array(200).fill(n).with(0, 4).with(1, 0));
      const plan = planOf(inners, false);
      for (let i = 1; i < inners.length; i += 2) plan.session[i] = SESSION + 1;
      a.engine.send(plan);
      const taken = inners.map((_, i) => i).filter((i) => drop === undefined || i % 2 === 0);
      await seenB.messageCount(t, taken.length);
      if (drop !== undefined) await seenB.dropCount(t, drop, 20);
      t.deepEqual(
        seenB.messages.map(({ payload }) => payload[0]),
        taken,
      );
      t.deepEqual([...seenB.drops.keys()], drop === undefined ? [] : [drop]);
    });
  }

  scene('random messages are plain as the oracle has them, both ways', async (t, net) => {
    const { a, b, outsider, seenB } = net;
    join(a, b, COOKIES);
    a.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex: INDEX_B }]);
    const inners = fc.sample(anyInner, { numRuns: BURST, seed: SEED });
    a.engine.send(planOf(inners, true));
    const datagrams = await received(t, outsider, inners.length);
    const expected = inners.map((inner, i) =>
      plainDatagram(COOKIE_B, { index: INDEX_B, counter: BigInt(i) }, inner),
    );
    t.deepEqual(datagrams.map(toHex), expected.map(toHex));
    for (const datagram of expected) outsider.send(b.endpoint, datagram);
    await seenB.messageCount(t, inners.length);
    t.deepEqual(
      seenB.messages.map(({ payload }) => toHex(payload)),
      inners.map((inner) => toHex(inner.subarray(2))),
    );
  });
}

function replayTable(scene: DefineScene): void {
  scene('the table of the replay window holds, each case under a key of its own', async (t, net) => {
    const { a, b, outsider, seenB } = net;
    join(a, b);
    for (const [i, { what, steps }] of REPLAY_CASES.entries()) {
      const phase = i + 1;
      b.engine.configure([key(phase, NEXT_BA, keyOfPhase(phase))]);
      for (const [counter, verdict] of steps) {
        outsider.send(b.endpoint, sealDatagram(keyOfPhase(phase), { phase, index: INDEX_B, counter }, HELLO));
        t.is(await nextVerdict(t, seenB), verdict, `${what}: ${counter}`);
      }
    }
  });
}

/** How often everything happened: messages under `new`. */
function tally({ messages, drops }: Observer): Map<string, number> {
  return new Map<string, number>([['new', messages.length], ...drops]);
}

async function nextVerdict(t: ExecutionContext, seen: Observer): Promise<string | undefined> {
  const before = tally(seen);
  const sum = (counts: Map<string, number>) => [...counts.values()].reduce((total, n) => total + n, 0);
  await eventually(t, 'a verdict', () => {
    seen.pump();
    return sum(tally(seen)) > sum(before);
  });
  return [...tally(seen)].find(([reason, count]) => count !== (before.get(reason) ?? 0))?.[0];
}

interface Attack {
  readonly what: string;
  /** Datagrams for the victim, made from a recorded session, and the one reason under which each is counted. */
  readonly datagrams: (recorded: Recorded) => readonly (readonly [bytes: Uint8Array, drop: EngineDrop])[];
}

interface Recorded {
  /** What A sent to B, all of it delivered. */
  readonly aToB: readonly Uint8Array[];
  /** Not delivered yet. */
  readonly fresh: Uint8Array;
  /** What B sent to A. */
  readonly bToA: Uint8Array;
  /** Of another session, between the same two ends. */
  readonly other: Uint8Array;
}

const OTHER_KEY = new Uint8Array(32).fill(0x0e);

/** B is the victim; it has keys of the phases 0 and 1, and cookies. */
const ATTACKS: readonly Attack[] = [
  {
    what: 'a session is replayed',
    datagrams: ({ aToB }) => aToB.map((bytes) => [bytes, 'counter-replayed']),
  },
  {
    what: 'a session is replayed backwards',
    datagrams: ({ aToB }) => aToB.toReversed().map((bytes) => [bytes, 'counter-replayed']),
  },
  {
    what: 'every bit of a datagram is flipped in turn',
    datagrams: ({ fresh }) =>
      Array.from({ length: 8 * fresh.length }, (_, bit) => {
        const at = bit >> 3;
        return [fresh.with(at, fresh[at]! ^ (1 << (bit & 7))), dropOfFlip(at, bit & 7)] as const;
      }),
  },
  {
    what: 'a datagram is cut to every length',
    datagrams: ({ fresh }) =>
      Array.from(fresh.subarray(1), (_, length) => [
        fresh.subarray(0, length),
        length < 34 ? 'datagram-too-short' : 'tag-invalid',
      ]),
  },
  {
    what: 'bytes are appended',
    datagrams: ({ fresh }) =>
      [1, 2, 16, 1_000].map((more) => [Uint8Array.of(...fresh, ...new Uint8Array(more)), 'tag-invalid']),
  },
  {
    what: 'another session is spliced in',
    datagrams: ({ fresh, other }) => [
      [other, 'index-unknown'],
      [withIndex(other, INDEX_B), 'tag-invalid'],
      [splice(fresh, other, 16), 'tag-invalid'],
      [splice(fresh, other, fresh.length - 16), 'tag-invalid'],
    ],
  },
  {
    what: 'datagrams of one session are spliced into one another',
    datagrams: ({ fresh, aToB }) => [
      [splice(fresh, aToB[1]!, 16), 'tag-invalid'],
      [splice(fresh, aToB[1]!, fresh.length - 16), 'tag-invalid'],
      [splice(aToB[1]!, fresh, 16), 'tag-invalid'],
    ],
  },
  {
    what: 'what the victim sent comes back to it',
    datagrams: ({ bToA }) => [
      [bToA, 'index-unknown'],
      [withIndex(bToA, INDEX_B), 'tag-invalid'],
      [withIndex(bToA, ALIAS), 'tag-invalid'],
    ],
  },
  {
    what: 'a datagram is sent under another phase',
    datagrams: ({ fresh }) => [
      [fresh.with(1, 1), 'tag-invalid'],
      [fresh.with(1, 2), 'key-unknown'],
      [fresh.with(1, 255), 'key-unknown'],
    ],
  },
  {
    what: 'a delivered datagram is sent to another index of its session',
    datagrams: ({ aToB }) => aToB.map((bytes) => [withIndex(bytes, ALIAS), 'counter-replayed']),
  },
  {
    what: 'a sealed datagram is declared plain',
    datagrams: ({ fresh, aToB }) => [
      [fresh.with(0, 2), 'cookie-invalid'],
      [aToB[0]!.with(0, 2), 'cookie-invalid'],
      [Uint8Array.of(...fresh.with(0, 2).subarray(0, -16), ...COOKIE_A), 'cookie-invalid'],
    ],
  },
  {
    what: 'the reserved bytes and the type are used',
    datagrams: ({ fresh }) => [
      [fresh.with(2, 1), 'datagram-reserved-bits'],
      [fresh.with(3, 0x80), 'datagram-reserved-bits'],
      [fresh.with(0, 0), 'datagram-type-unknown'],
      [fresh.with(0, 3), 'datagram-type-unknown'],
      [fresh.with(0, 255), 'datagram-type-unknown'],
    ],
  },
];

/** Of a datagram with phase 0 and a small counter. */
function dropOfFlip(at: number, bit: number): EngineDrop {
  if (at === 0) return 'datagram-type-unknown';
  if (at === 1) return bit === 0 ? 'tag-invalid' : 'key-unknown';
  if (at < 4) return 'datagram-reserved-bits';
  if (at < 8) return 'index-unknown';
  const beyondLimit = at === 15 || (at === 14 && bit >= 5);
  return beyondLimit ? 'counter-exhausted' : 'tag-invalid';
}

function attacks(scene: DefineScene): void {
  for (const { what, datagrams } of ATTACKS) {
    scene(
      `nothing is delivered when ${what}, and each attempt is counted under its reason`,
      async (t, net) => {
        const recorded = await record(t, net);
        const { b, outsider, seenB } = net;
        const delivered = seenB.messages.length;
        const expected = new Map<string, number>();
        let sent = 0;
        for (const [bytes, drop] of datagrams(recorded)) {
          outsider.send(b.endpoint, bytes);
          expected.set(drop, (expected.get(drop) ?? 0) + 1);
          if (++sent % BURST === 0) await allCounted(t, seenB, sent);
        }
        await allCounted(t, seenB, sent);
        t.deepEqual([...seenB.drops].sort(), [...expected].sort());
        t.is(seenB.messages.length, delivered);
        outsider.send(b.endpoint, recorded.fresh);
        await seenB.messageCount(t, delivered + 1);
      },
    );
  }

  scene('what comes out of order is delivered once, in any order', async (t, net) => {
    const { a, b, outsider, seenB } = net;
    join(a, b);
    const order = [5, 0, 3, 1, 4, 2];
    const datagrams = order.map((n) =>
      sealDatagram(KEY_AB, { index: INDEX_B, counter: BigInt(n) }, Uint8Array.of(4, 0, n)),
    );
    for (const datagram of datagrams) outsider.send(b.endpoint, datagram);
    await seenB.messageCount(t, order.length);
    t.deepEqual(
      seenB.messages.map(({ payload }) => payload[0]),
      order,
    );
    for (const datagram of datagrams) outsider.send(b.endpoint, datagram);
    await seenB.dropCount(t, 'counter-replayed', order.length);
    t.is(seenB.messages.length, order.length);
  });

  scene('the index alone may be rewritten on the way, as relays do', async (t, net) => {
    const { fresh } = await record(t, net);
    const { b, outsider, seenB } = net;
    const delivered = seenB.messages.length;
    outsider.send(b.endpoint, withIndex(fresh, ALIAS));
    await seenB.messageCount(t, delivered + 1);
    t.is(seenB.messages.at(-1)!.tag, TAG + 1);
    outsider.send(b.endpoint, fresh);
    await seenB.dropCount(t, 'counter-replayed');
  });
}

/** Two ends with a session whose datagrams pass by an eavesdropper, some of them delivered. */
async function record(t: ExecutionContext, { a, b, outsider, seenB }: Scene): Promise<Recorded> {
  join(a, b, COOKIES);
  b.engine.configure([
    key(1, NEXT_BA, NEXT_AB),
    { type: 'receive-index', index: ALIAS, session: SESSION, tag: TAG + 1, roams: false },
  ]);
  for (const end of [a, b]) {
    const sendIndex = end === a ? INDEX_B : INDEX_A;
    end.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex }]);
  }
  const inners = Array.from({ length: 6 }, (_, i) => Uint8Array.of(4, 0, i, ...HELLO));
  a.engine.send(planOf(inners, false));
  const sent = await received(t, outsider, inners.length);
  b.engine.send(planOf(inners.slice(0, 1), false));
  const [bToA] = await received(t, outsider, 1);
  const aToB = sent.slice(0, -1);
  for (const datagram of aToB) outsider.send(b.endpoint, datagram);
  await seenB.messageCount(t, aToB.length);
  const other = sealDatagram(OTHER_KEY, { index: 0x1234567, counter: 5n }, inners[5]!);
  return { aToB, fresh: sent.at(-1)!, bToA: bToA!, other };
}

async function allCounted(t: ExecutionContext, seen: Observer, count: number): Promise<void> {
  await eventually(t, `${count} drops`, () => {
    seen.pump();
    return [...seen.drops.values()].reduce((sum, n) => sum + n, 0) >= count;
  });
}

function planOf(inners: readonly Uint8Array[], plain: boolean): SendPlan {
  const plan = new SendPlan(
    inners.length,
    inners.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const inner of inners) {
    plan.scratch.set(inner, at);
    addEntry(plan, 2, at + 2, inner.length - 2, inner.subarray(0, 2), plain);
    at += inner.length;
  }
  return plan;
}

function keyOfPhase(phase: number): Uint8Array {
  return new Uint8Array(32).fill(0x40 + phase);
}

function withIndex(datagram: Uint8Array, index: number): Uint8Array {
  const copy = Buffer.from(datagram);
  copy.writeUInt32LE(index, 4);
  return Uint8Array.from(copy);
}

/** The first bytes of one and the rest of the other. */
function splice(first: Uint8Array, second: Uint8Array, at: number): Uint8Array {
  return Uint8Array.of(...first.subarray(0, at), ...second.subarray(at));
}
