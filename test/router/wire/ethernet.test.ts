import test from 'ava';
import fc from 'fast-check';
import { parsePeerName } from '../../../core/peer-name.ts';
import { frameDestination, frameHeaderBytes, payloadType } from '../../../router/wire/ethernet.ts';
import {
  BROADCAST_MAC,
  formatMac,
  isGroup,
  isReserved,
  macOfName,
  readMac,
  writeMac,
} from '../../../router/wire/mac.ts';
import { ethernet } from './frames.ts';

test('a MAC survives the wire, and a name is its MAC', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (mac) => {
      const out = new Uint8Array(8);
      writeMac(mac, out, 1);
      t.is(readMac(out, 1), mac);
      t.is(macOfName(parsePeerName(formatMac(mac))!), mac);
    }),
  );
  t.is(formatMac(0x020000000a01), '02:00:00:00:0a:01');
});

test('the group bit marks broadcast and multicast', (t) => {
  t.true(isGroup(BROADCAST_MAC));
  t.true(isGroup(0x01005e000001));
  t.true(isGroup(0x333300000001));
  t.false(isGroup(0x020000000001));
  t.false(isGroup(0xfeffffffffff));
});

test('the sixteen addresses of 802.1D are reserved', (t) => {
  const cases: [number, boolean][] = [
    [0x0180c1ffffff, false],
    [0x0180c2000000, true],
    [0x0180c200000f, true],
    [0x0180c2000010, false],
  ];
  for (const [mac, reserved] of cases) t.is(isReserved(mac), reserved, formatMac(mac));
});

test('up to two tags are skipped to find the type of the payload', (t) => {
  for (const [tags, header] of [
    [0, 14],
    [1, 18],
    [2, 22],
    [3, 22],
  ] as const) {
    const frame = ethernet(2, 4, 0x0800, new Uint8Array(40), tags);
    t.is(frameHeaderBytes(frame, 0, frame.length), header);
    t.is(payloadType(frame, 0, header), tags === 3 ? 0x8100 : 0x0800);
    t.deepEqual([frameDestination(frame, 0), readMac(frame, 6)], [2, 4]);
  }
});

test('a frame that ends in its tag is not read beyond its end', (t) => {
  const frame = ethernet(2, 4, 0x0800, new Uint8Array(0), 1).subarray(0, 16);
  t.is(frameHeaderBytes(frame, 0, 16), 14);
});
