import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { formatEndpoint, type Endpoint } from '../../../core/address.ts';
import {
  PREFIX_STRIDE,
  SOURCE_RECEIVED,
  SOURCE_SCRATCH,
  SOURCE_TAP,
  SendPlan,
  WritePlan,
  type Engine,
  type EngineDrop,
  type EngineEvent,
} from '../../../router/engine/port.ts';
import {
  TYPE_PLAIN,
  TYPE_SEALED,
  datagramCounter,
  datagramIndex,
  datagramPhase,
  datagramType,
  writeDatagramHeader,
} from '../../../router/wire/datagram.ts';
import { chacha } from './chacha.ts';

/** An engine under test, open, with the address that others reach it at. */
export interface ContractEnd {
  readonly engine: Engine;
  readonly endpoint: Endpoint;
  /** How often onReady was called. */
  readyCalls(): number;
  /** The host's side of the TAP; undefined = opened without one. */
  readonly host: ContractHost | undefined;
}

export interface ContractHost {
  sends(frame: Uint8Array): void;
  /** Frames written to the TAP since the last call. */
  takeReceived(): Uint8Array[];
}

/** A bare UDP socket: whoever is neither of the two. */
export interface ContractSocket {
  readonly endpoint: Endpoint;
  send(to: Endpoint, datagram: Uint8Array): void;
  /** Datagrams that came since the last call. */
  takeReceived(): Uint8Array[];
}

/** Two engines and two outsiders that reach one another. */
export interface ContractNet {
  readonly a: ContractEnd;
  readonly b: ContractEnd;
  readonly outsider: ContractSocket;
  readonly stranger: ContractSocket;
  close(): Promise<void>;
}

export const KEY_AB = new Uint8Array(32).fill(0xab);
const KEY_BA = new Uint8Array(32).fill(0xba);
export const NEXT_AB = new Uint8Array(32).fill(0x1a);
export const NEXT_BA = new Uint8Array(32).fill(0x1b);
export const COOKIE_A = new Uint8Array(16).fill(0xca);
export const COOKIE_B = new Uint8Array(16).fill(0xcb);
export const INDEX_A = 0xa0000001;
export const INDEX_B = 0xb0000002;
const ALIAS_B = 0xb0000003;
export const SESSION = 3;
export const PATH = 5;
export const TAG = 9;
const WINDOW = 65_536;
const PATIENCE_MS = 30_000;
const HELLO = Uint8Array.of(4, 0, 104, 101, 108, 108, 111);

/** What one end got and reported so far. */
export class Observer {
  readonly messages: { kind: number; flags: number; payload: Uint8Array; tag: number; from: string }[] = [];
  readonly events: EngineEvent[] = [];
  readonly drops = new Map<EngineDrop, number>();
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  pump(): void {
    for (let batch = this.#engine.receive(); batch.count > 0; batch = this.#engine.receive()) {
      for (let i = 0; i < batch.count; i++) {
        const offset = batch.offset[i]!;
        this.messages.push({
          kind: batch.kind[i]!,
          flags: batch.flags[i]!,
          payload: batch.data.slice(offset, offset + batch.length[i]!),
          tag: batch.tag[i]!,
          from: formatEndpoint(batch.source(i)),
        });
      }
    }
    for (const event of this.#engine.drainEvents()) {
      this.events.push(event);
      if (event.type === 'dropped') {
        this.drops.set(event.reason, (this.drops.get(event.reason) ?? 0) + event.count);
      }
    }
  }

  async messageCount(t: ExecutionContext, count: number): Promise<void> {
    await eventually(t, `${count} messages`, () => {
      this.pump();
      return this.messages.length >= count;
    });
    t.is(this.messages.length, count);
  }

  async dropCount(t: ExecutionContext, reason: EngineDrop, count = 1): Promise<void> {
    await eventually(t, `${count} drops: ${reason}`, () => {
      this.pump();
      return (this.drops.get(reason) ?? 0) >= count;
    });
    t.is(this.drops.get(reason), count);
  }
}

export interface Scene extends ContractNet {
  readonly seenA: Observer;
  readonly seenB: Observer;
}

/**
 * What every engine does, as tests. `make` opens two engines, with a TAP or without; engines that have none say so by
 * `host: undefined`, and pass `tap: false` so that the tests of it are left out.
 */
export function engineContract(name: string, make: MakeNet, options: { readonly tap: boolean }): void {
  const scene = scenesOf(name, make);
  sealing(scene);
  hostileDatagrams(scene);
  replay(scene);
  roaming(scene);
  relaying(scene);
  plainDatagrams(scene);
  phases(scene);
  plans(scene);
  if (options.tap) tap(scene);
}

export type MakeNet = (t: ExecutionContext) => Promise<ContractNet>;
export type DefineScene = (
  title: string,
  body: (t: ExecutionContext, scene: Scene) => Promise<void> | void,
) => void;

/** Defines tests of one kind of engine; `name` says which. */
export function scenesOf(name: string, make: MakeNet): DefineScene {
  return (title, body) =>
    test(`${name}: ${title}`, async (t) => {
      const net = await make(t);
      try {
        await body(t, { ...net, seenA: new Observer(net.a.engine), seenB: new Observer(net.b.engine) });
      } finally {
        await net.close();
      }
    });
}

function sealing(scene: DefineScene): void {
  scene('what one end seals the other opens, both ways', async (t, { a, b, seenA, seenB }) => {
    join(a, b);
    sendScratch(a.engine, HELLO);
    await seenB.messageCount(t, 1);
    sendScratch(b.engine, Uint8Array.of(5, 1, 42));
    await seenA.messageCount(t, 1);
    t.like(seenB.messages[0], { kind: 4, flags: 0, payload: HELLO.slice(2), tag: TAG });
    t.like(seenA.messages[0], { kind: 5, flags: 1, payload: Uint8Array.of(42), tag: TAG });
    t.is(seenB.messages[0]!.from, formatEndpoint(a.endpoint));
    t.is(seenB.drops.size + seenA.drops.size, 0);
  });

  scene('arrivals are announced', async (t, { a, b, seenB }) => {
    join(a, b);
    sendScratch(a.engine, HELLO);
    await eventually(t, 'onReady', () => b.readyCalls() > 0);
    await seenB.messageCount(t, 1);
  });

  scene('what is dropped is announced, though nothing else comes', async (t, { b, outsider, seenB }) => {
    outsider.send(b.endpoint, new Uint8Array(5));
    await eventually(t, 'onReady', () => b.readyCalls() > 0);
    await seenB.dropCount(t, 'datagram-too-short');
  });

  scene('datagrams have the header, nonce and cipher of the wire format', async (t, { a, outsider }) => {
    configure(a.engine, KEY_AB, KEY_BA, INDEX_A);
    a.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex: INDEX_B }]);
    sendScratch(a.engine, HELLO);
    sendScratch(a.engine, HELLO);
    const datagrams = await received(t, outsider, 2);
    for (const [i, datagram] of datagrams.entries()) {
      t.is(datagramType(datagram), TYPE_SEALED);
      t.is(datagramPhase(datagram), 0);
      t.is(datagramIndex(datagram), INDEX_B);
      t.is(datagramCounter(datagram), i);
      t.deepEqual(chacha.open(KEY_AB, i, datagram.subarray(16)), HELLO);
    }
  });

  scene('messages of every size up to a full datagram arrive whole', async (t, { a, b, seenB }) => {
    join(a, b);
    const sizes = [2, 3, 64, 1_400, 9_000];
    for (const size of sizes) sendScratch(a.engine, new Uint8Array(size).fill(size % 251));
    await seenB.messageCount(t, sizes.length);
    t.deepEqual(seenB.messages.map(({ payload }) => payload.length + 2).sort(ascending), sizes);
    for (const { kind, payload } of seenB.messages) {
      t.true(
        payload.every((byte) => byte === (payload.length + 2) % 251) && kind === (payload.length + 2) % 251,
      );
    }
  });
}

function hostileDatagrams(scene: DefineScene): void {
  const sound = (): Uint8Array => craft(KEY_AB, 0, 0, INDEX_B);
  const cases: { what: string; bytes: () => Uint8Array; drop: EngineDrop }[] = [
    { what: 'an empty datagram', bytes: () => new Uint8Array(0), drop: 'datagram-too-short' },
    { what: 'one byte too few', bytes: () => sound().slice(0, 33), drop: 'datagram-too-short' },
    { what: 'an unknown type', bytes: () => changed(sound(), 0, 7), drop: 'datagram-type-unknown' },
    { what: 'reserved bits', bytes: () => changed(sound(), 3, 1), drop: 'datagram-reserved-bits' },
    { what: 'an unknown index', bytes: () => changed(sound(), 4, 0x55), drop: 'index-unknown' },
    { what: 'a phase without key', bytes: () => changed(sound(), 1, 1), drop: 'key-unknown' },
    { what: 'another key', bytes: () => craft(NEXT_AB, 0, 0, INDEX_B), drop: 'tag-invalid' },
    { what: 'another counter', bytes: () => changed(sound(), 8, 1), drop: 'tag-invalid' },
    { what: 'a changed ciphertext', bytes: () => changed(sound(), 18, 0), drop: 'tag-invalid' },
    { what: 'a changed tag', bytes: () => changed(sound(), sound().length - 1, 0), drop: 'tag-invalid' },
    { what: 'a truncated ciphertext', bytes: () => sound().slice(0, -1), drop: 'tag-invalid' },
  ];
  for (const { what, bytes, drop } of cases) {
    scene(`${what} is dropped and counted as ${drop}`, async (t, { a, b, outsider, seenB }) => {
      join(a, b);
      outsider.send(b.endpoint, bytes());
      await seenB.dropCount(t, drop);
      outsider.send(b.endpoint, sound());
      await seenB.messageCount(t, 1);
      t.is(seenB.drops.size, 1);
    });
  }

  scene('a message that opens but lacks its flags is dropped', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    outsider.send(b.endpoint, craft(KEY_AB, 0, 0, INDEX_B, Uint8Array.of(1)));
    await seenB.dropCount(t, 'datagram-too-short');
  });

  scene('counters that doubles cannot hold are dropped', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    const datagram = craft(KEY_AB, 0, 0, INDEX_B);
    outsider.send(b.endpoint, datagram.fill(0xff, 8, 16));
    await eventually(t, 'a drop', () => {
      seenB.pump();
      return seenB.drops.size > 0;
    });
    t.is(seenB.messages.length, 0);
  });
}

function replay(scene: DefineScene): void {
  scene('a datagram is taken once', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    outsider.send(b.endpoint, craft(KEY_AB, 7, 0, INDEX_B));
    await seenB.messageCount(t, 1);
    outsider.send(b.endpoint, craft(KEY_AB, 7, 0, INDEX_B));
    await seenB.dropCount(t, 'counter-replayed');
    t.is(seenB.messages.length, 1);
  });

  scene('datagrams out of order within the window are taken', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    const counters = [WINDOW + 99, 100, 101, WINDOW + 98, 5_000, WINDOW + 100];
    for (const [i, counter] of counters.entries()) {
      outsider.send(b.endpoint, craft(KEY_AB, counter, 0, INDEX_B));
      await seenB.messageCount(t, i + 1);
    }
    t.is(seenB.drops.size, 0);
  });

  scene(
    'masses of junk and of replays are drops by reason, never events',
    async (t, { a, b, outsider, stranger, seenB }) => {
      join(a, b);
      const sound = (): Uint8Array => craft(KEY_AB, 7, 0, INDEX_B);
      outsider.send(b.endpoint, sound());
      await seenB.messageCount(t, 1);
      const eventsBefore = seenB.events.length;
      const junk: [EngineDrop, Uint8Array][] = [
        ['datagram-too-short', sound().slice(0, 33)],
        ['datagram-type-unknown', changed(sound(), 0, 7)],
        ['index-unknown', changed(sound(), 4, 0x55)],
        ['tag-invalid', changed(sound(), 20, 1)],
        ['counter-replayed', sound()],
      ];
      for (let i = 0; i < 100; i++) for (const [, bytes] of junk) stranger.send(b.endpoint, bytes.slice());
      for (const [drop] of junk) await seenB.dropCount(t, drop, 100);
      t.deepEqual(
        seenB.events.slice(eventsBefore).filter(({ type }) => type !== 'dropped'),
        [],
        'not even an address to probe',
      );
      t.is(seenB.messages.length, 1);
    },
  );

  scene('a counter one window behind the highest is too old', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    outsider.send(b.endpoint, craft(KEY_AB, WINDOW + 100, 0, INDEX_B));
    await seenB.messageCount(t, 1);
    outsider.send(b.endpoint, craft(KEY_AB, 100, 0, INDEX_B));
    await seenB.dropCount(t, 'counter-too-old');
    outsider.send(b.endpoint, craft(KEY_AB, 101, 0, INDEX_B));
    await seenB.messageCount(t, 2);
  });

  scene('a forged counter does not move the window', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    outsider.send(b.endpoint, changed(craft(KEY_AB, 0, 0, INDEX_B), 12, 1));
    await seenB.dropCount(t, 'tag-invalid');
    outsider.send(b.endpoint, craft(KEY_AB, 0, 0, INDEX_B));
    await seenB.messageCount(t, 1);
  });

  scene('counters beyond 2^32 are told apart', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    for (const counter of [2 ** 32 - 1, 2 ** 32, 2 ** 48 + 1]) {
      outsider.send(b.endpoint, craft(KEY_AB, counter, 0, INDEX_B));
    }
    await seenB.messageCount(t, 3);
    outsider.send(b.endpoint, craft(KEY_AB, 2 ** 48 + 1, 0, INDEX_B));
    await seenB.dropCount(t, 'counter-replayed');
  });
}

function roaming(scene: DefineScene): void {
  const roamed = (seen: Observer): string[] =>
    seen.events.flatMap((event) => (event.type === 'roamed' ? [formatEndpoint(event.from)] : []));

  scene('the highest counter from another address is reported', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    outsider.send(b.endpoint, craft(KEY_AB, 10, 0, INDEX_B));
    await seenB.messageCount(t, 1);
    t.deepEqual(roamed(seenB), [formatEndpoint(outsider.endpoint)]);
    t.like(
      seenB.events.find((event) => event.type === 'roamed'),
      { session: SESSION },
    );
  });

  scene(
    'a lower counter from another address is not reported',
    async (t, { a, b, outsider, stranger, seenB }) => {
      join(a, b);
      outsider.send(b.endpoint, craft(KEY_AB, 10, 0, INDEX_B));
      await seenB.messageCount(t, 1);
      stranger.send(b.endpoint, craft(KEY_AB, 9, 0, INDEX_B));
      await seenB.messageCount(t, 2);
      t.deepEqual(roamed(seenB), [formatEndpoint(outsider.endpoint)]);
    },
  );

  scene(
    'neither a copy of the newest datagram nor a forged newer one moves the peer to where it came from',
    async (t, { a, b, outsider, stranger, seenB }) => {
      join(a, b);
      const newest = craft(KEY_AB, 10, 0, INDEX_B);
      outsider.send(b.endpoint, newest);
      await seenB.messageCount(t, 1);
      stranger.send(b.endpoint, newest);
      const forged = craft(KEY_AB, 11, 0, INDEX_B);
      forged[forged.length - 1]! ^= 1;
      stranger.send(b.endpoint, forged);
      await seenB.dropCount(t, 'counter-replayed');
      await seenB.dropCount(t, 'tag-invalid');
      t.deepEqual(roamed(seenB), [formatEndpoint(outsider.endpoint)]);
    },
  );

  scene('the direct address itself is not reported', async (t, { a, b, seenB }) => {
    join(a, b);
    sendScratch(a.engine, HELLO);
    await seenB.messageCount(t, 1);
    t.deepEqual(roamed(seenB), []);
  });

  scene('an index that does not roam reports no address', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    b.engine.configure([
      { type: 'receive-index', index: ALIAS_B, session: SESSION, tag: TAG + 1, roams: false },
    ]);
    outsider.send(b.endpoint, craft(KEY_AB, 10, 0, ALIAS_B));
    await seenB.messageCount(t, 1);
    t.is(seenB.messages[0]!.tag, TAG + 1);
    t.deepEqual(roamed(seenB), []);
  });

  scene('all indexes of a session share its window', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    b.engine.configure([{ type: 'receive-index', index: ALIAS_B, session: SESSION, tag: TAG, roams: false }]);
    outsider.send(b.endpoint, craft(KEY_AB, 3, 0, INDEX_B));
    await seenB.messageCount(t, 1);
    outsider.send(b.endpoint, craft(KEY_AB, 3, 0, ALIAS_B));
    await seenB.dropCount(t, 'counter-replayed');
  });
}

function relaying(scene: DefineScene): void {
  const label = (engine: Engine, from: Endpoint, to: Endpoint): void =>
    engine.configure([
      { type: 'path', path: 1, to: from, sendIndex: 0 },
      { type: 'path', path: 2, to, sendIndex: 0 },
      { type: 'label', index: 0x111, from: 1, to: 2, nextIndex: 0x222 },
    ]);

  scene('a labelled datagram goes on with the next index and nothing else changed', async (t, net) => {
    const { b, outsider, stranger, seenB } = net;
    label(b.engine, outsider.endpoint, stranger.endpoint);
    const datagram = craft(KEY_AB, 1, 6, 0x111);
    outsider.send(b.endpoint, datagram);
    const [relayed] = await received(t, stranger, 1, () => seenB.pump());
    t.is(datagramIndex(relayed!), 0x222);
    t.deepEqual(relayed!.slice(8), datagram.slice(8));
    t.deepEqual(relayed!.slice(0, 4), datagram.slice(0, 4));
    seenB.pump();
    const used = seenB.events.find((event) => event.type === 'label-used');
    t.like(used, { index: 0x111, datagrams: 1, bytes: datagram.length });
    t.is(seenB.messages.length, 0);
  });

  scene(
    'a labelled datagram from another address is refused',
    async (t, { b, outsider, stranger, seenB }) => {
      label(b.engine, outsider.endpoint, stranger.endpoint);
      stranger.send(b.endpoint, craft(KEY_AB, 1, 0, 0x111));
      await seenB.dropCount(t, 'label-source-wrong');
      t.deepEqual(stranger.takeReceived(), []);
    },
  );

  scene('a removed label is unknown', async (t, { b, outsider, stranger, seenB }) => {
    label(b.engine, outsider.endpoint, stranger.endpoint);
    b.engine.configure([{ type: 'label-removed', index: 0x111 }]);
    outsider.send(b.endpoint, craft(KEY_AB, 1, 0, 0x111));
    await seenB.dropCount(t, 'index-unknown');
  });

  scene('a label follows its paths when they move', async (t, { b, outsider, stranger, seenB }) => {
    label(b.engine, stranger.endpoint, outsider.endpoint);
    b.engine.configure([
      { type: 'path', path: 1, to: outsider.endpoint, sendIndex: 0 },
      { type: 'path', path: 2, to: stranger.endpoint, sendIndex: 0 },
    ]);
    outsider.send(b.endpoint, craft(KEY_AB, 1, 0, 0x111));
    await received(t, stranger, 1, () => seenB.pump());
  });
}

function plainDatagrams(scene: DefineScene): void {
  const cookies = {
    a: { send: COOKIE_B, receive: COOKIE_A },
    b: { send: COOKIE_A, receive: COOKIE_B },
  };

  scene('plain datagrams carry the cookie that the receiver named', async (t, { a, b, seenB }) => {
    join(a, b, cookies);
    sendScratch(a.engine, HELLO, true);
    await seenB.messageCount(t, 1);
    t.deepEqual(seenB.messages[0]!.payload, HELLO.slice(2));
  });

  scene('a plain datagram is clear on the wire', async (t, { a, b, outsider }) => {
    join(a, b, cookies);
    a.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex: INDEX_B }]);
    sendScratch(a.engine, HELLO, true);
    const [datagram] = await received(t, outsider, 1);
    t.is(datagramType(datagram!), TYPE_PLAIN);
    t.is(datagramIndex(datagram!), INDEX_B);
    t.deepEqual(datagram!.slice(16, -16), HELLO);
    t.deepEqual(datagram!.slice(-16), COOKIE_B);
  });

  scene('plain datagrams have no replay window', async (t, { a, b, outsider, seenB }) => {
    join(a, b, cookies);
    for (let i = 0; i < 2; i++) outsider.send(b.endpoint, craftPlain(COOKIE_B));
    await seenB.messageCount(t, 2);
  });

  scene('another cookie is refused', async (t, { a, b, outsider, seenB }) => {
    join(a, b, cookies);
    outsider.send(b.endpoint, craftPlain(COOKIE_A));
    await seenB.dropCount(t, 'cookie-invalid');
  });

  scene('a session without cookies takes nothing plain', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    outsider.send(b.endpoint, craftPlain(COOKIE_B));
    await seenB.dropCount(t, 'cookie-invalid');
  });
}

function phases(scene: DefineScene): void {
  scene('both phases are received while one is sent on', async (t, { a, b, seenB }) => {
    join(a, b);
    b.engine.configure([key(1, NEXT_BA, NEXT_AB)]);
    sendScratch(a.engine, HELLO);
    a.engine.configure([key(1, NEXT_AB, NEXT_BA), { type: 'send-phase', session: SESSION, phase: 1 }]);
    sendScratch(a.engine, HELLO);
    await seenB.messageCount(t, 2);
  });

  scene('each phase counts from zero with its own window', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    b.engine.configure([key(1, NEXT_BA, NEXT_AB)]);
    outsider.send(b.endpoint, craft(KEY_AB, 5, 0, INDEX_B));
    outsider.send(b.endpoint, craft(NEXT_AB, 5, 1, INDEX_B));
    await seenB.messageCount(t, 2);
  });

  scene('a removed key opens nothing', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    b.engine.configure([key(1, NEXT_BA, NEXT_AB), { type: 'key-removed', session: SESSION, phase: 0 }]);
    outsider.send(b.endpoint, craft(KEY_AB, 5, 0, INDEX_B));
    await seenB.dropCount(t, 'key-unknown');
  });

  scene('a removed session takes nothing', async (t, { a, b, outsider, seenB }) => {
    join(a, b);
    b.engine.configure([
      { type: 'receive-index-removed', index: INDEX_B },
      { type: 'session-removed', session: SESSION },
    ]);
    outsider.send(b.endpoint, craft(KEY_AB, 5, 0, INDEX_B));
    await seenB.dropCount(t, 'index-unknown');
  });

  scene('the same phase of a session cannot get a second key', (t, { a, b }) => {
    join(a, b);
    t.throws(() => a.engine.configure([key(0, NEXT_AB, NEXT_BA)]));
  });

  scene('keys are copied: the caller may wipe its own', async (t, { a, b, seenB }) => {
    join(a, b);
    const send = NEXT_AB.slice();
    const receive = NEXT_AB.slice();
    a.engine.configure([key(1, send, NEXT_BA), { type: 'send-phase', session: SESSION, phase: 1 }]);
    b.engine.configure([key(1, NEXT_BA, receive)]);
    send.fill(0);
    receive.fill(0);
    sendScratch(a.engine, HELLO);
    await seenB.messageCount(t, 1);
  });
}

function plans(scene: DefineScene): void {
  scene('what cannot be sent is dropped and counted', async (t, { a, b, seenA }) => {
    a.engine.configure([{ type: 'session', session: SESSION, cookies: undefined }]);
    a.engine.configure([{ type: 'path', path: PATH, to: b.endpoint, sendIndex: INDEX_B }]);
    sendScratch(a.engine, HELLO);
    await seenA.dropCount(t, 'key-unknown');
    a.engine.configure([{ type: 'path-removed', path: PATH }]);
    sendScratch(a.engine, HELLO);
    await seenA.dropCount(t, 'path-unknown');
  });

  scene('prefixes come before the bytes, entry by entry', async (t, { a, b, seenB }) => {
    join(a, b);
    const plan = new SendPlan(2, 64);
    plan.scratch.set([10, 11, 12, 13]);
    for (const [i, offset] of [0, 2].entries()) {
      addEntry(plan, SOURCE_SCRATCH, offset, 2, Uint8Array.of(2, i, 90 + i));
    }
    a.engine.send(plan);
    await seenB.messageCount(t, 2);
    t.deepEqual(
      seenB.messages.map(({ kind, payload }) => [kind, ...payload]),
      [
        [2, 90, 10, 11],
        [2, 91, 12, 13],
      ],
    );
  });

  scene('bytes of a received message can be sent on', async (t, { a, b, seenA }) => {
    join(a, b);
    sendScratch(a.engine, HELLO);
    let batch = b.engine.receive();
    await eventually(t, 'a message', () => (batch.count > 0 ? true : ((batch = b.engine.receive()), false)));
    const plan = new SendPlan(1, 0);
    addEntry(plan, SOURCE_RECEIVED, batch.offset[0]!, batch.length[0]!, Uint8Array.of(2, 0));
    b.engine.send(plan);
    await seenA.messageCount(t, 1);
    t.deepEqual(seenA.messages[0]!.payload, HELLO.slice(2));
  });
}

function tap(scene: DefineScene): void {
  const frame = Uint8Array.from({ length: 100 }, (_, i) => i);

  scene('a frame of the host is read, sent and written to the other host', async (t, { a, b }) => {
    join(a, b);
    a.host!.sends(frame);
    let frames = a.engine.readFrames();
    await eventually(t, 'a frame', () =>
      frames.count > 0 ? true : ((frames = a.engine.readFrames()), false),
    );
    const { length, segment, offset } = frames;
    t.deepEqual([length[0], segment[0]], [frame.length, frame.length]);
    const plan = new SendPlan(1, 0);
    addEntry(plan, SOURCE_TAP, offset[0]!, length[0]!, Uint8Array.of(1, frames.flags[0]!));
    a.engine.send(plan);
    let batch = b.engine.receive();
    await eventually(t, 'a message', () => (batch.count > 0 ? true : ((batch = b.engine.receive()), false)));
    const write = new WritePlan(1, 0);
    write.source[0] = SOURCE_RECEIVED;
    write.offset[0] = batch.offset[0]!;
    write.length[0] = batch.length[0]!;
    write.count = 1;
    b.engine.writeFrames(write);
    t.deepEqual(b.host!.takeReceived(), [frame]);
  });

  scene('a frame made in scratch is written', (t, { a }) => {
    const write = new WritePlan(1, 128);
    write.scratch.set(frame, 10);
    write.source[0] = SOURCE_SCRATCH;
    write.offset[0] = 10;
    write.length[0] = frame.length;
    write.count = 1;
    a.engine.writeFrames(write);
    t.deepEqual(a.host!.takeReceived(), [frame]);
  });

  scene('what is no Ethernet frame is not written', async (t, { a, seenA }) => {
    const write = new WritePlan(1, 128);
    write.source[0] = SOURCE_SCRATCH;
    write.length[0] = 13;
    write.count = 1;
    a.engine.writeFrames(write);
    await seenA.dropCount(t, 'frame-malformed');
    t.deepEqual(a.host!.takeReceived(), []);
  });
}

interface SessionCookies {
  readonly a: { readonly send: Uint8Array; readonly receive: Uint8Array };
  readonly b: { readonly send: Uint8Array; readonly receive: Uint8Array };
}

/** A session between the two, keys of phase 0, one path each way. */
export function join(a: ContractEnd, b: ContractEnd, cookies?: SessionCookies): void {
  configure(a.engine, KEY_AB, KEY_BA, INDEX_A, cookies?.a);
  configure(b.engine, KEY_BA, KEY_AB, INDEX_B, cookies?.b);
  a.engine.configure([
    { type: 'path', path: PATH, to: b.endpoint, sendIndex: INDEX_B },
    { type: 'direct-address', session: SESSION, endpoint: b.endpoint },
  ]);
  b.engine.configure([
    { type: 'path', path: PATH, to: a.endpoint, sendIndex: INDEX_A },
    { type: 'direct-address', session: SESSION, endpoint: a.endpoint },
  ]);
}

function configure(
  engine: Engine,
  send: Uint8Array,
  receive: Uint8Array,
  index: number,
  cookies?: SessionCookies['a'],
): void {
  engine.configure([
    { type: 'session', session: SESSION, cookies },
    key(0, send, receive),
    { type: 'send-phase', session: SESSION, phase: 0 },
    { type: 'receive-index', index, session: SESSION, tag: TAG, roams: true },
  ]);
}

export function key(phase: number, send: Uint8Array, receive: Uint8Array) {
  return { type: 'key', session: SESSION, phase, send: send.slice(), receive: receive.slice() } as const;
}

export function sendScratch(engine: Engine, message: Uint8Array, plain = false): void {
  const plan = new SendPlan(1, message.length);
  plan.scratch.set(message);
  addEntry(plan, SOURCE_SCRATCH, 2, message.length - 2, message.subarray(0, 2), plain);
  engine.send(plan);
}

export function addEntry(
  plan: SendPlan,
  source: number,
  offset: number,
  length: number,
  prefix: Uint8Array,
  plain = false,
): void {
  const i = plan.count++;
  plan.source[i] = source;
  plan.offset[i] = offset;
  plan.length[i] = length;
  plan.prefixes.set(prefix, i * PREFIX_STRIDE);
  plan.prefixLength[i] = prefix.length;
  plan.session[i] = SESSION;
  plan.path[i] = PATH;
  plan.plain[i] = plain ? 1 : 0;
}

/** What the other end would seal, with any counter. */
function craft(
  secret: Uint8Array,
  counter: number,
  phase: number,
  index: number,
  plaintext = HELLO,
): Uint8Array {
  const datagram = new Uint8Array(32 + plaintext.length);
  writeDatagramHeader(datagram, TYPE_SEALED, phase, index, counter);
  datagram.set(chacha.seal(secret, counter, plaintext), 16);
  return datagram;
}

function craftPlain(cookie: Uint8Array): Uint8Array {
  const datagram = new Uint8Array(32 + HELLO.length);
  writeDatagramHeader(datagram, TYPE_PLAIN, 0, INDEX_B, 0);
  datagram.set(HELLO, 16);
  datagram.set(cookie, 16 + HELLO.length);
  return datagram;
}

/** `bytes` with the bits of one of them changed. */
function changed(bytes: Uint8Array, at: number, bits: number): Uint8Array {
  bytes[at]! ^= bits === 0 ? 0x80 : bits;
  return bytes;
}

export async function received(
  t: ExecutionContext,
  socket: ContractSocket,
  count: number,
  pump?: () => void,
): Promise<Uint8Array[]> {
  const datagrams: Uint8Array[] = [];
  await eventually(t, `${count} datagrams`, () => {
    pump?.();
    datagrams.push(...socket.takeReceived());
    return datagrams.length >= count;
  });
  t.is(datagrams.length, count);
  return datagrams;
}

export async function eventually(t: ExecutionContext, what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!holds()) {
    if (Date.now() > deadline) return t.fail(`waited in vain for ${what}`);
    await sleep(1);
  }
}

function ascending(x: number, y: number): number {
  return x - y;
}
