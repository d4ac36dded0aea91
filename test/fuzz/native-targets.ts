import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { concatBytes } from '../../core/bytes.ts';
import { parseIp } from '../../core/address.ts';
import { loadAddon, type Addon, type EngineHandle } from '../../router/engine/addon.ts';
import { engineArrays } from '../../router/engine/native-layout.ts';
import { NativeEngine } from '../../router/engine/native.ts';
import { writeDatagramHeader } from '../../router/wire/datagram.ts';
import { chacha } from '../router/engine/chacha.ts';
import { freePort } from '../router/engine/udp-net.ts';
import { ethernet, ipv4, ipv6 } from '../router/wire/frames.ts';
import * as samples from './samples.ts';
import { OUTSIDE, promise, TAKEN, type Target, type Verdict } from './target.ts';

/** TCP with these flags and so much payload; header checksums are zero, which cutting does not mind. */
function tcp(flags: number, payload: number): Uint8Array {
  const header = new Uint8Array(20);
  header.set([0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 1, 0]);
  return concatBytes(header, new Uint8Array(payload).fill(5));
}

const superFrames = [
  ethernet(1, 2, 0x0800, ipv4(tcp(0x10, 3_000), { protocol: 6 })),
  ethernet(1, 2, 0x86dd, ipv6(tcp(0x18, 3_000), { next: 6 }), 2),
  ethernet(
    1,
    2,
    0x86dd,
    ipv6(concatBytes(Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0), tcp(0x10, 500)), { next: 60 }),
  ),
];
const out = new Uint8Array(1 << 18);
const lengths = new Uint32Array(4_096);

/** segment u16 LE, then the frame */
function cut(addon: Addon): Target {
  const run = (input: Uint8Array): Verdict => {
    const segment = (input[0] ?? 0) | ((input[1] ?? 0) << 8);
    const frame = input.subarray(2);
    const count = addon.cutFrame(frame, segment, out, lengths);
    if (count < 0) return `${OUTSIDE}not cut`;
    for (let i = 0; i < count; i++)
      promise(lengths[i]! <= segment, 'a frame that is longer than its segment');
    return TAKEN;
  };
  const valid = superFrames.map((frame) => concatBytes(Uint8Array.of(0xe8, 0x03), frame));
  return { name: 'native-cut', samples: valid, shape: 'bytes', weight: 60, run };
}

/** Frames one after another, each after its length (u16 LE). */
function join(addon: Addon): Target {
  const run = (input: Uint8Array): Verdict => {
    const parts: number[] = [];
    let at = 0;
    while (at + 2 <= input.length && parts.length < 80) {
      const length = input[at]! | (input[at + 1]! << 8);
      parts.push(length);
      at += 2 + length;
    }
    const data = new Uint8Array(input.length);
    let [from, to] = [0, 0];
    for (const length of parts) {
      data.set(input.subarray(from + 2, from + 2 + length), to);
      from += 2 + length;
      to += length;
    }
    const flags = new Uint8Array(parts.length).fill(1);
    const joined = addon.joinFrames(data, Uint32Array.from(parts), flags, out);
    promise(joined <= parts.length, 'more frames were joined than there are');
    return joined === 0 ? `${OUTSIDE}not joined` : TAKEN;
  };
  return { name: 'native-join', samples: [joinable(addon)], shape: 'bytes', weight: 60, run };
}

/** Segments as the engine cuts them: they join again. */
function joinable(addon: Addon): Uint8Array {
  const count = addon.cutFrame(superFrames[1]!, 1_000, out, lengths);
  const parts: Uint8Array[] = [];
  for (let i = 0, at = 0; i < count; at += lengths[i++]!) {
    parts.push(Uint8Array.of(lengths[i]!, lengths[i]! >> 8), out.slice(at, at + lengths[i]!));
  }
  return concatBytes(...parts);
}

const KEY = new Uint8Array(32).fill(7);
const INDEX = 5;

/** Datagrams over the loopback device into the engine in C. Sealed ones are sealed here, whatever they hold. */
class LoopbackEngine {
  #engine: NativeEngine | undefined;
  #socket!: Socket;
  #port = 0;
  #counter = 0;
  #sent = 0;

  async reset(): Promise<void> {
    if (this.#engine === undefined) await this.#open();
    this.#engine!.configure([{ type: 'session-removed', session: 1 }]);
    this.#engine!.configure([
      { type: 'session', session: 1, cookies: { send: KEY.slice(0, 16), receive: KEY.slice(0, 16) } },
      { type: 'key', session: 1, phase: 0, send: KEY.slice(), receive: KEY.slice() },
      { type: 'receive-index', index: INDEX, session: 1, tag: 0, roams: true },
    ]);
    this.#counter = 0;
  }

  /** The first byte says whether the rest is a datagram, or an inner message to be sealed. */
  async run(input: Uint8Array): Promise<Verdict> {
    const rest = input.subarray(1);
    const datagram = (input[0] ?? 0) % 2 === 0 ? rest : this.#seal(rest);
    if (datagram.length > 60_000) return `${OUTSIDE}longer than a datagram`;
    this.#socket.send(datagram, this.#port, '127.0.0.1');
    this.#sent++;
    // Loopback delivers within the call that sends; the socket of Node may put that off by a turn.
    await turn();
    const batch = this.#engine!.receive();
    for (let i = 0; i < batch.count; i++) {
      promise(batch.offset[i]! + batch.length[i]! <= batch.data.length, 'a message beyond its batch');
      promise(batch.wireLength[i]! <= 60_000 && batch.session[i] === 1, 'a message of nobody');
    }
    const dropped = this.#engine!.drainEvents().find((event) => event.type === 'dropped');
    return batch.count > 0 ? TAKEN : `${OUTSIDE}${dropped?.type === 'dropped' ? dropped.reason : 'not yet'}`;
  }

  async close(): Promise<void> {
    if (this.#engine === undefined) return;
    await this.#engine.close();
    this.#socket.close();
  }

  async #open(): Promise<void> {
    this.#port = await freePort();
    this.#engine = new NativeEngine();
    await this.#engine.open({
      tap: undefined,
      address: parseIp('127.0.0.1'),
      port: this.#port,
      onReady: () => undefined,
    });
    this.#socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(this.#socket, 'listening');
  }

  #seal(inner: Uint8Array): Uint8Array {
    const counter = this.#counter++;
    const header = new Uint8Array(16);
    writeDatagramHeader(header, 1, 0, INDEX, counter);
    return concatBytes(header, chacha.seal(KEY, counter, inner));
  }
}

/** Arguments that a function of the addon may be called with, right or wrong. */
const ARGUMENTS: readonly unknown[] = [
  ...[
    undefined,
    null,
    true,
    false,
    0,
    1,
    2,
    5,
    255,
    256,
    65_536,
    2 ** 32 - 1,
    2 ** 32,
    -1,
    0.5,
    Number.NaN,
    2n,
  ],
  ...['', 'text', {}, [], Symbol('x'), () => undefined],
  ...[0, 4, 16, 18, 32].map((length) => new Uint8Array(length).fill(1)),
  new Float64Array(3),
  new Uint32Array(4),
  detached(),
  new DataView(new ArrayBuffer(8)),
];

/** An array whose buffer went elsewhere. */
function detached(): Uint8Array {
  const array = new Uint8Array(8);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

const CALLS = [
  ...([
    'engineAddSession',
    'engineRemoveSession',
    'engineAddKey',
    'engineRemoveKey',
    'engineSetSendPhase',
  ] as const),
  ...([
    'engineSetDirect',
    'engineAddIndex',
    'engineRemoveIndex',
    'engineSetPath',
    'engineRemovePath',
  ] as const),
  ...(['engineSetLabel', 'engineRemoveLabel', 'engineReadFrames', 'engineReceive', 'engineSend'] as const),
  ...([
    'engineWriteFrames',
    'engineDrain',
    'engineBroken',
    'engineCreate',
    'cutFrame',
    'joinFrames',
  ] as const),
];

/** Each input is calls of the addon: function u8, then its arguments u8 each, 12 of them. */
function configure(addon: Addon): Target {
  let engine: EngineHandle = addon.engineCreate(engineArrays());
  const run = (input: Uint8Array): Verdict => {
    let [done, refused] = [0, 0];
    for (let at = 0; at < Math.min(input.length, 13 * 20); at += 13) {
      const name = CALLS[input[at]! % CALLS.length]!;
      const rest = Array.from(
        { length: 11 },
        (_, i) => ARGUMENTS[(input[at + 2 + i] ?? 0) % ARGUMENTS.length],
      );
      const first = (input[at + 1] ?? 0) % 16 === 0 ? rest[0] : name.startsWith('engine') ? engine : rest[0];
      try {
        (addon[name] as (...given: unknown[]) => unknown)(first, ...rest);
        done++;
      } catch (error) {
        promise(error instanceof Error, 'something else than an Error was thrown');
        refused++;
      }
    }
    return done === 0 && refused > 0 ? `${OUTSIDE}refused` : TAKEN;
  };
  const reset = (): void => {
    addon.engineClose(engine);
    engine = addon.engineCreate(engineArrays());
  };
  return { name: 'native-configure', samples: configurations(), shape: 'bytes', weight: 10, run, reset };
}

/** Session 1 with a key, an index, a path and a label; then all of it again, and away. */
function configurations(): Uint8Array[] {
  const [one, sixteen, thirtyTwo, eighteen] = [5, 25, 27, 26];
  const calls = [
    [0, 1, one, sixteen, sixteen],
    [2, 1, one, one, thirtyTwo, thirtyTwo],
    [4, 1, one, one],
    [6, 1, one, one, one, 2],
    [8, 1, one, eighteen, one],
    [10, 1, one, one, one, one],
    [1, 1, one],
  ].map((call) => Uint8Array.from({ length: 13 }, (_, i) => call[i] ?? 0));
  return [concatBytes(...calls), concatBytes(...calls.slice(0, 6), ...calls)];
}

export function nativeTargets(): Target[] {
  const addon = loadAddon();
  const loopback = new LoopbackEngine();
  return [
    cut(addon),
    join(addon),
    {
      name: 'native-receive',
      samples: [...samples.hotInner, ...samples.linkInner].map((inner) =>
        concatBytes(Uint8Array.of(1), inner),
      ),
      shape: 'bytes',
      weight: 10,
      run: (input) => loopback.run(input),
      reset: () => loopback.reset(),
      close: () => loopback.close(),
    },
    configure(addon),
  ];
}
