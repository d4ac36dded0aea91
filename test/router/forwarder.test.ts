import test from 'ava';
import { parsePeerName } from '../../core/peer-name.ts';
import { MemoryEngine } from '../../router/engine/memory.ts';
import type { FrameBatch } from '../../router/engine/port.ts';
import { Forwarder } from '../../router/forwarder.ts';
import { Switch } from '../../router/switch/switch.ts';
import { fakeCipher, frameOf, macsOf } from './data-net.ts';

const PEER = parsePeerName('::2')!;
const SESSION = 3;

/** What a frame of `length` bytes, to be cut into ones of `segment`, is said to have sent on a path of this inner MTU. */
function sentOf(innerMtu: number, length: number, segment: number) {
  const sent: (readonly [session: number, datagrams: number, bytes: number])[] = [];
  const options = { cipher: fakeCipher, transmit: () => undefined, onHostReceives: () => undefined };
  const frameSwitch = new Switch({
    route: () => ({ session: SESSION, path: 1, plain: false, innerMtu }),
    hold: () => undefined,
    sender: () => undefined,
  });
  frameSwitch.onPeerMacs(PEER, macsOf(2), 0);
  const forwarder = new Forwarder(new MemoryEngine(options), frameSwitch, {
    onReceived: () => undefined,
    onSent: (...what) => void sent.push(what),
  });
  const batch: FrameBatch = {
    count: 1,
    data: frameOf(1, 2, 1, length),
    offset: new Uint32Array(1),
    length: Uint32Array.of(length),
    segment: Uint32Array.of(segment),
    flags: new Uint8Array(1),
  };
  forwarder.moveFrames(batch, 0);
  return sent;
}

for (const [what, innerMtu, length, segment, datagrams] of [
  ['a frame of 1,402 bytes is one datagram', 1_388, 1_402, 1_402, 1],
  ['a jumbo frame is one datagram', 8_888, 8_902, 8_902, 1],
  ['a super-frame on a jumbo path is as many as it has segments', 8_888, 40_000, 8_902, 5],
  ['a super-frame on a narrow path is as many as it has segments', 1_168, 40_000, 1_182, 34],
  ['a super-frame that the path wants cut smaller is more', 1_168, 40_000, 1_402, 34],
] as const) {
  test(`${what}, each with what goes before it`, (t) => {
    t.deepEqual(sentOf(innerMtu, length, segment), [[SESSION, datagrams, length + datagrams * (32 + 2)]]);
  });
}
