import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { parseEndpoint } from '../../../core/address.ts';
import {
  PREFIX_STRIDE,
  SOURCE_RECEIVED,
  SOURCE_SCRATCH,
  SOURCE_TAP,
  SendPlan,
  WritePlan,
  type Engine,
  type EngineChange,
  type EngineEvent,
  type FrameBatch,
  type MessageBatch,
} from '../../../router/engine/port.ts';
import {
  COOKIE_A,
  COOKIE_B,
  NEXT_AB,
  NEXT_BA,
  PATH,
  SESSION,
  TAG,
  eventually,
  join,
  key,
  scenesOf,
  type ContractEnd,
  type DefineScene,
  type MakeNet,
  type Scene,
} from './contract.ts';

/** A decision certainly holds for so long: less than its 100 ms by what a coarse clock may be late. */
const SURELY_HELD_MS = 80;
const ATTEMPTS = 500;
const PATIENCE_MS = 30_000;
const KIND = 1;
const FRAME_BYTES = 60;
/** Datagram header and tag, inner kind and flags. */
const OVERHEAD = 34;
const COOKIES = { a: { send: COOKIE_B, receive: COOKIE_A }, b: { send: COOKIE_A, receive: COOKIE_B } };
const OTHER_SESSION = 4;
const OTHER_INDEX = 0xb0000044;
const ALIAS = 0xb0000055;

/** What became of a frame: the switch was asked, or the engine did as it had been told before. */
type Verdict = 'asked' | 'repeated';

/** What engines that honour `repeat` do; they need a TAP. */
export function repeatContract(name: string, make: MakeNet): void {
  const scene = scenesOf(name, make);
  sends(scene);
  writes(scene);
  for (const { what, before, change } of CHANGES) {
    scene(
      `a change of what is configured (${what}) ends every decision on frames of the TAP`,
      async (t, net) => {
        join(net.a, net.b);
        let n = 0;
        const act = () => {
          net.a.engine.configure([change(n)]);
          return fromHost(t, net, frame());
        };
        const decide = () => {
          net.a.engine.configure(before(++n));
          return decideSend(t, net);
        };
        t.is(await verdict(t, decide, act), 'asked');
      },
    );

    scene(`a change of what is configured (${what}) ends every decision on messages`, async (t, net) => {
      join(net.a, net.b);
      let n = 0;
      const act = () => {
        net.b.engine.configure([change(n)]);
        return fromPeer(t, net, {});
      };
      const decide = () => {
        net.b.engine.configure(before(++n));
        return decideWrite(t, net);
      };
      t.is(await verdict(t, decide, act), 'asked');
    });
  }
}

function sends(scene: DefineScene): void {
  scene('a frame of the TAP goes as one before it, and is reported', async (t, net) => {
    join(net.a, net.b);
    t.is(
      await verdict(
        t,
        () => decideSend(t, net),
        () => fromHost(t, net, frame({ mark: 7 })),
      ),
      'repeated',
    );
    const { seenB } = net;
    await eventually(t, 'the frame', () => {
      seenB.pump();
      return seenB.messages.at(-1)?.payload.at(-1) === 7;
    });
    t.like(seenB.messages.at(-1), { kind: KIND, flags: 0, tag: TAG, payload: frame({ mark: 7 }) });
    const expected = { type: 'sent', session: SESSION, datagrams: 1, bytes: FRAME_BYTES + OVERHEAD } as const;
    t.deepEqual(lastReport.get(net.a.engine), expected);
  });

  for (const [what, other] of [
    ['to another address', { to: 9 }],
    ['from another address', { from: 9 }],
    ['that is longer than was said', { length: FRAME_BYTES + 1 }],
  ] as const) {
    scene(`a frame of the TAP ${what} asks the switch`, async (t, net) => {
      join(net.a, net.b);
      t.is(
        await verdict(
          t,
          () => decideSend(t, net),
          () => fromHost(t, net, frame(other)),
        ),
        'asked',
      );
    });
  }

  scene('a frame asks the switch if the plan did not say otherwise, or sent it plain', async (t, net) => {
    join(net.a, net.b, COOKIES);
    const again = () => fromHost(t, net, frame());
    t.is(await verdict(t, () => decideSend(t, net, { repeat: 0 }), again), 'asked');
    t.is(await verdict(t, () => decideSend(t, net, { plain: 1 }), again), 'asked');
  });

  scene('a decision on frames of the TAP ends, however many went by it', async (t, net) => {
    join(net.a, net.b);
    await decideSend(t, net);
    await untilAsked(t, () => fromHost(t, net, frame()));
  });

  scene('no frame of the TAP overtakes one that asks', async (t, net) => {
    join(net.a, net.b);
    const { seenB } = net;
    const act = async () => {
      seenB.pump();
      seenB.messages.length = 0;
      for (let mark = 0; mark < 20; mark++) net.a.host!.sends(frame({ mark, to: mark < 17 ? 9 : 2 }));
      await eventually(t, 'all', () => {
        const frames = net.a.engine.readFrames();
        if (frames.count > 0) net.a.engine.send(sendPlan(frames, { repeat: 0 }));
        seenB.pump();
        return seenB.messages.length === 20;
      });
      return seenB.messages.map(({ payload }) => payload.at(-1));
    };
    t.deepEqual(
      await verdict(t, () => decideSend(t, net), act),
      Array.from({ length: 20 }, (_, i) => i),
    );
  });
}

function writes(scene: DefineScene): void {
  scene('the frame of a message is written as one before it, and is reported', async (t, net) => {
    join(net.a, net.b);
    t.is(
      await verdict(
        t,
        () => decideWrite(t, net),
        () => fromPeer(t, net, { mark: 7 }),
      ),
      'repeated',
    );
    await hostGets(t, net.b, frame({ mark: 7 }));
    const bytes = FRAME_BYTES + OVERHEAD;
    const expected = { type: 'received', session: SESSION, datagrams: 1, bytes } as const;
    t.deepEqual(lastReport.get(net.b.engine), expected);
  });

  for (const [what, other] of [
    ['to another address', { to: 9 }],
    ['from another address', { from: 9 }],
    ['of another kind', { kind: 2 }],
    ['of another session', { session: OTHER_SESSION, path: PATH + 1 }],
    ['with another tag', { path: PATH + 2 }],
    ['that came plain', { plain: 1 }],
  ] as const) {
    scene(`a message ${what} asks the switch`, async (t, net) => {
      join(net.a, net.b, COOKIES);
      addOtherWays(net);
      t.is(
        await verdict(
          t,
          () => decideWrite(t, net),
          () => fromPeer(t, net, other),
        ),
        'asked',
      );
    });
  }

  scene('a message of another key phase asks the switch', async (t, net) => {
    join(net.a, net.b);
    net.a.engine.configure([key(1, NEXT_AB, NEXT_BA)]);
    net.b.engine.configure([key(1, NEXT_BA, NEXT_AB)]);
    const sendPhase = (phase: number): void =>
      net.a.engine.configure([{ type: 'send-phase', session: SESSION, phase }]);
    const decide = () => {
      sendPhase(0);
      return decideWrite(t, net);
    };
    const act = () => {
      sendPhase(1);
      return fromPeer(t, net, {});
    };
    t.is(await verdict(t, decide, act), 'asked');
  });

  scene('a message asks the switch if the plan did not say otherwise, or it came plain', async (t, net) => {
    join(net.a, net.b, COOKIES);
    const again = () => fromPeer(t, net, {});
    t.is(await verdict(t, () => decideWrite(t, net, { repeat: 0 }), again), 'asked');
    t.is(await verdict(t, () => decideWrite(t, net, { plain: 1 }), again), 'asked');
  });

  scene('a decision on messages ends, however many went by it', async (t, net) => {
    join(net.a, net.b);
    await decideWrite(t, net);
    await untilAsked(t, () => fromPeer(t, net, {}));
  });

  scene('no message overtakes one that asks', async (t, net) => {
    join(net.a, net.b);
    const act = async () => {
      net.b.host!.takeReceived();
      const order: (number | undefined)[] = [];
      net.a.engine.send(
        scratchPlan(Array.from({ length: 6 }, (_, mark) => ({ mark, to: mark < 3 ? 9 : 2 }))),
      );
      await eventually(t, 'all', () => {
        const messages = net.b.engine.receive();
        if (messages.count > 0) net.b.engine.writeFrames(writePlan(messages, 0));
        order.push(...net.b.host!.takeReceived().map((bytes) => bytes.at(-1)));
        return order.length === 6;
      });
      return order;
    };
    t.deepEqual(await verdict(t, () => decideWrite(t, net), act), [0, 1, 2, 3, 4, 5]);
  });
}

interface Change {
  readonly what: EngineChange['type'];
  /** What must be there first; `n` is another one each time. */
  readonly before: (n: number) => EngineChange[];
  readonly change: (n: number) => EngineChange;
}

const nothing = (): EngineChange[] => [];
const session = (n: number): EngineChange => ({ type: 'session', session: 100 + n, cookies: undefined });
const keyOf = (n: number): EngineChange => ({ ...key(0, NEXT_AB, NEXT_BA), session: 100 + n });
const indexOf = (n: number): EngineChange => ({
  type: 'receive-index',
  index: 100 + n,
  session: 100 + n,
  tag: 0,
  roams: false,
});
const path = (n: number): EngineChange => ({
  type: 'path',
  path: 100 + n,
  to: parseEndpoint('192.0.2.99', 9)!,
  sendIndex: 1,
});
const label = (n: number): EngineChange => ({
  type: 'label',
  index: 10_000 + n,
  from: PATH,
  to: PATH,
  nextIndex: 1,
});

/** One of each kind, about something that no frame of the test has to do with. */
const CHANGES: readonly Change[] = [
  { what: 'session', before: nothing, change: session },
  {
    what: 'session-removed',
    before: (n) => [session(n)],
    change: (n) => ({ type: 'session-removed', session: 100 + n }),
  },
  { what: 'key', before: (n) => [session(n)], change: keyOf },
  {
    what: 'send-phase',
    before: (n) => [session(n), keyOf(n)],
    change: (n) => ({ type: 'send-phase', session: 100 + n, phase: 0 }),
  },
  {
    what: 'key-removed',
    before: (n) => [session(n), keyOf(n)],
    change: (n) => ({ type: 'key-removed', session: 100 + n, phase: 0 }),
  },
  { what: 'receive-index', before: (n) => [session(n)], change: indexOf },
  {
    what: 'receive-index-removed',
    before: (n) => [session(n), indexOf(n)],
    change: (n) => ({ type: 'receive-index-removed', index: 100 + n }),
  },
  {
    what: 'direct-address',
    before: (n) => [session(n)],
    change: (n) => ({ type: 'direct-address', session: 100 + n, endpoint: undefined }),
  },
  { what: 'path', before: nothing, change: path },
  {
    what: 'path-removed',
    before: (n) => [path(n)],
    change: (n) => ({ type: 'path-removed', path: 100 + n }),
  },
  { what: 'label', before: nothing, change: label },
  {
    what: 'label-removed',
    before: (n) => [label(n)],
    change: (n) => ({ type: 'label-removed', index: 10_000 + n }),
  },
  { what: 'decisions-void', before: nothing, change: () => ({ type: 'decisions-void' }) },
];

/** The events by which engines said last that they had repeated something. */
const lastReport = new WeakMap<Engine, EngineEvent>();

/** What `act` says of a decision that certainly still held when it was done: on a busy machine, of one of many. */
async function verdict<Result>(
  t: ExecutionContext,
  decide: () => Promise<number>,
  act: () => Promise<Result>,
): Promise<Result | undefined> {
  for (let i = 0; i < ATTEMPTS; i++) {
    const decidedAt = await decide();
    const result = await act();
    if (performance.now() - decidedAt < SURELY_HELD_MS) return result;
  }
  t.fail('the machine is too slow to see what a decision does');
  return undefined;
}

async function untilAsked(t: ExecutionContext, act: () => Promise<Verdict>): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await sleep(1)) {
    if ((await act()) !== 'asked') continue;
    t.pass();
    return;
  }
  t.fail('the switch was not asked again');
}

interface FrameChange {
  readonly to?: number;
  readonly from?: number;
  readonly length?: number;
  readonly mark?: number;
}

/** A frame of a protocol for experiments. */
function frame({ to = 2, from = 1, length = FRAME_BYTES, mark = 0 }: FrameChange = {}): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 0x88, 0xb5]);
  bytes[length - 1] = mark;
  return bytes;
}

/** The host of `a` sends a frame: what became of it. What was asked is not answered. */
async function fromHost(t: ExecutionContext, { a }: Scene, bytes: Uint8Array): Promise<Verdict> {
  a.host!.sends(bytes);
  return outcome(t, a, 'sent', () => a.engine.readFrames().count);
}

/** Has the switch asked about a frame of `a`'s host, and decides. Returns when, in ms. */
async function decideSend(
  t: ExecutionContext,
  { a }: Scene,
  entry: { readonly repeat?: number; readonly plain?: number } = {},
): Promise<number> {
  let frames: FrameBatch | undefined;
  await askedOnce(t, a, () => {
    a.host!.sends(frame());
    return outcome(t, a, 'sent', () => (frames = a.engine.readFrames()).count);
  });
  const decidedAt = performance.now();
  a.engine.send(sendPlan(frames!, { repeat: FRAME_BYTES, ...entry }));
  return decidedAt;
}

interface MessageChange extends FrameChange {
  readonly kind?: number;
  readonly session?: number;
  readonly path?: number;
  readonly plain?: number;
}

/** `a` sends a message to `b`: what became of it. */
async function fromPeer(t: ExecutionContext, { a, b }: Scene, change: MessageChange): Promise<Verdict> {
  a.engine.send(scratchPlan([change]));
  return outcome(t, b, 'received', () => b.engine.receive().count);
}

async function decideWrite(
  t: ExecutionContext,
  { a, b }: Scene,
  { repeat = 1, plain = 0 }: { readonly repeat?: number; readonly plain?: number } = {},
): Promise<number> {
  let messages: MessageBatch | undefined;
  await askedOnce(t, b, () => {
    a.engine.send(scratchPlan([{ plain }]));
    return outcome(t, b, 'received', () => (messages = b.engine.receive()).count);
  });
  const decidedAt = performance.now();
  b.engine.writeFrames(writePlan(messages!, repeat));
  return decidedAt;
}

/** Until no decision of a round before holds any more. */
async function askedOnce(t: ExecutionContext, end: ContractEnd, ask: () => Promise<Verdict>): Promise<void> {
  end.engine.drainEvents();
  for (let i = 0; i < ATTEMPTS && (await ask()) !== 'asked'; i++) await sleep(2);
}

async function outcome(
  t: ExecutionContext,
  { engine }: ContractEnd,
  report: 'sent' | 'received',
  askedCount: () => number,
): Promise<Verdict> {
  let verdict: Verdict | undefined;
  await eventually(t, 'what becomes of a frame', () => {
    if (askedCount() > 0) verdict = 'asked';
    const reported = engine.drainEvents().find(({ type }) => type === report);
    if (reported === undefined) return verdict !== undefined;
    lastReport.set(engine, reported);
    verdict = 'repeated';
    return true;
  });
  return verdict!;
}

async function hostGets(t: ExecutionContext, { host }: ContractEnd, bytes: Uint8Array): Promise<void> {
  let last: Uint8Array | undefined;
  await eventually(t, 'the host to get it', () => {
    last = host!.takeReceived().at(-1) ?? last;
    return last?.at(-1) === bytes.at(-1);
  });
  t.deepEqual(last, bytes);
}

/** All frames whole, each with its kind and flags. */
function sendPlan(
  frames: FrameBatch,
  { repeat = 0, plain = 0 }: { readonly repeat?: number; readonly plain?: number },
): SendPlan {
  const plan = new SendPlan(frames.count, 0);
  for (let i = 0; i < frames.count; i++) {
    plan.source[i] = SOURCE_TAP;
    plan.item[i] = i;
    plan.offset[i] = frames.offset[i]!;
    plan.length[i] = frames.length[i]!;
    setWay(plan, i, { plain });
    plan.prefixes[i * PREFIX_STRIDE + 1] = frames.flags[i]!;
    plan.repeat[i] = repeat;
  }
  plan.count = frames.count;
  return plan;
}

function scratchPlan(changes: readonly MessageChange[]): SendPlan {
  const plan = new SendPlan(changes.length, changes.length * FRAME_BYTES);
  for (const [i, change] of changes.entries()) {
    plan.scratch.set(frame(change), i * FRAME_BYTES);
    plan.source[i] = SOURCE_SCRATCH;
    plan.offset[i] = i * FRAME_BYTES;
    plan.length[i] = FRAME_BYTES;
    setWay(plan, i, change);
  }
  plan.count = changes.length;
  return plan;
}

function setWay(plan: SendPlan, i: number, change: MessageChange): void {
  plan.prefixes[i * PREFIX_STRIDE] = change.kind ?? KIND;
  plan.prefixLength[i] = 2;
  plan.session[i] = change.session ?? SESSION;
  plan.path[i] = change.path ?? PATH;
  plan.plain[i] = change.plain ?? 0;
}

function writePlan(messages: MessageBatch, repeat: number): WritePlan {
  const plan = new WritePlan(messages.count, 0);
  for (let i = 0; i < messages.count; i++) {
    plan.source[i] = SOURCE_RECEIVED;
    plan.item[i] = i;
    plan.offset[i] = messages.offset[i]!;
    plan.length[i] = messages.length[i]!;
    plan.flags[i] = messages.flags[i]!;
    plan.repeat[i] = repeat;
  }
  plan.count = messages.count;
  return plan;
}

/** A second session between the two by a path of its own, and a path by which the first gets another tag. */
function addOtherWays({ a, b }: Scene): void {
  const other = (send: Uint8Array, receive: Uint8Array): EngineChange[] => [
    { type: 'session', session: OTHER_SESSION, cookies: undefined },
    { ...key(0, send, receive), session: OTHER_SESSION },
    { type: 'send-phase', session: OTHER_SESSION, phase: 0 },
  ];
  a.engine.configure([
    ...other(NEXT_AB, NEXT_BA),
    { type: 'path', path: PATH + 1, to: b.endpoint, sendIndex: OTHER_INDEX },
    { type: 'path', path: PATH + 2, to: b.endpoint, sendIndex: ALIAS },
  ]);
  b.engine.configure([
    ...other(NEXT_BA, NEXT_AB),
    { type: 'receive-index', index: OTHER_INDEX, session: OTHER_SESSION, tag: TAG, roams: false },
    { type: 'receive-index', index: ALIAS, session: SESSION, tag: TAG + 1, roams: false },
  ]);
}
