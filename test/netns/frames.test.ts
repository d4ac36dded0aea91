import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import type { Container } from '../../scripts/lab.ts';
import { end, must, start, until } from '../../scripts/run.ts';
import {
  bytesOf,
  exactFrames,
  partialFrames,
  payloadAt,
  record,
  shredded,
  sumsOf,
  superFrames,
  withSum,
  type Addresses,
  type Crafted,
} from './crafted-frames.ts';
import { ENGINE_PAIRS, twoHosts } from './two-hosts.ts';

const INJECT = fileURLToPath(new URL('../../../test/netns/inject.c', import.meta.url));
/** Nobody else sends from it. */
const SENDER = [2, 0xc0, 0xff, 0xee, 0, 1];
const PCAP_HEADER = 24;
const RECORD_HEADER = 16;

interface Wire {
  /** Puts frames on the interface of one container and returns what the other got when that is all, or 30 s later. */
  readonly send: (
    crafted: readonly Crafted[],
    isAll: (got: readonly Uint8Array[]) => boolean,
  ) => Promise<Uint8Array[]>;
  readonly addresses: Addresses;
}

async function wire(t: ExecutionContext, dir: string, from: Container, to: Container): Promise<Wire> {
  const inject = join(dir, 'inject');
  await must(['cc', '-O1', '-Wall', '-Wextra', '-Werror', '-o', inject, INJECT]);
  const mac = (await to.must(['cat', '/sys/class/net/ethwe/address'])).trim().split(':');
  const addresses = { to: Uint8Array.from(mac, (pair) => parseInt(pair, 16)), from: Uint8Array.from(SENDER) };
  let captures = 0;
  const send: Wire['send'] = async (crafted, isAll) => {
    const file = join(dir, `capture${captures++}`);
    const source = SENDER.map((byte) => byte.toString(16)).join(':');
    // Room for a super-frame in every slot of the capture.
    const buffer = ['-s', '65600', '-B', '65536', '-U', '--immediate-mode'];
    const filter = ['-i', 'ethwe', '-Q', 'in', ...buffer, '-w', file, 'ether', 'src', source];
    const tcpdump = start(to.inside(['tcpdump', ...filter]));
    t.teardown(() => end(tcpdump));
    let said = '';
    tcpdump.stderr?.on('data', (chunk) => (said += String(chunk)));
    await until('tcpdump listens', 30_000, () => Promise.resolve(said.includes('listening on')));
    await from.must([inject, 'ethwe'], { input: Buffer.concat(crafted.map(record)) });
    await until('every frame', 30_000, () => Promise.resolve(isAll(captured(file)))).catch(() => undefined);
    await end(tcpdump);
    return captured(file);
  };
  return { send, addresses };
}

/** The frames in a capture that is still being written. */
function captured(file: string): Uint8Array[] {
  const bytes = readFileSync(file);
  const frames: Uint8Array[] = [];
  for (let at = PCAP_HEADER; at + RECORD_HEADER <= bytes.length;) {
    const length = bytes.readUInt32LE(at + 8);
    at += RECORD_HEADER + length;
    if (at <= bytes.length) frames.push(bytes.subarray(at - length, at));
  }
  return frames;
}

function hex(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? 'nothing' : Buffer.from(bytes).toString('hex');
}

/** What a super-frame became on the way: by its tags, its family and its port, which no other has. */
function piecesOf({ frame, transport = 0 }: Crafted, got: readonly Uint8Array[]): Uint8Array[] {
  const key = (of: Uint8Array) => hex(of.subarray(12, 14)) + hex(of.subarray(transport, transport + 2));
  return got.filter((each) => key(each) === key(frame));
}

function payloadOf(crafted: Crafted, got: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(piecesOf(crafted, got).map((frame) => frame.subarray(payloadAt(crafted))));
}

for (const engines of ENGINE_PAIRS) {
  test(`through ${engines.join(' and ')} engines, frames of every make arrive once, in order, byte for byte`, async (t) => {
    const { lab, hosts, a, b } = await twoHosts(t, 'wy', engines);
    const { send, addresses } = await wire(t, lab.dir, a, b);

    const exact = exactFrames(addresses);
    const plain = await send(exact, (got) => got.length >= exact.length);
    const arrived = new Set(plain.map(hex));
    t.deepEqual(
      exact.filter(({ frame }) => !arrived.has(hex(frame))).map(({ what }) => what),
      [],
    );
    for (const [i, { what, frame }] of exact.entries()) t.is(hex(plain[i]), hex(frame), what);
    t.is(plain.length, exact.length);

    const partial = partialFrames(addresses);
    const completed = await send(partial, (got) => got.length >= partial.length);
    for (const [i, each] of partial.entries()) {
      const allowed = sumsOf(each, each.frame).map((sum) => hex(withSum(each, each.frame, sum)));
      t.true(allowed.includes(hex(completed[i])), `${each.what}: ${hex(completed[i])}`);
    }
    t.is(completed.length, partial.length);

    const whole = superFrames(addresses);
    const sizeOf = (each: Crafted) => each.frame.length - payloadAt(each);
    const cut = await send(whole, (got) =>
      whole.every((each) => payloadOf(each, got).length >= sizeOf(each)),
    );
    for (const each of whole) {
      const pieces = piecesOf(each, cut);
      t.is(hex(payloadOf(each, cut)), hex(bytesOf(sizeOf(each))), each.what);
      for (const piece of pieces) {
        const allowed = sumsOf(each, piece).map((sum) => hex(withSum(each, piece, sum)));
        t.true(allowed.includes(hex(piece)), each.what);
      }
    }

    const [shreds, sound] = shredded(addresses);
    const got = await send([shreds, sound], (frames) => payloadOf(sound, frames).length >= sizeOf(sound));
    t.is(hex(payloadOf(sound, got)), hex(bytesOf(sizeOf(sound))), 'a host that shreds is no reason to stop');
    const { drops } = (await hosts[0].status()).router;
    t.is(drops['frame-malformed'], 1, 'and what it shredded is counted');
  });
}
