import test from 'ava';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../core/bytes.ts';
import {
  broadcastEpoch,
  broadcastOriginator,
  broadcastSequence,
  broadcastTtl,
  fragmentId,
  fragmentOffset,
  fragmentTotal,
  isBroadcast,
  isFragment,
  linkMessageBytes,
  parseLinkMessage,
  writeBroadcastPrefix,
  writeFragmentPrefix,
  writeFramePrefix,
  writeLinkMessage,
  type LinkMessage,
} from '../../../router/wire/inner.ts';

const u8 = fc.integer({ min: 0, max: 255 });
const u16 = fc.integer({ min: 0, max: 65_535 });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const token = fc.uint8Array({ minLength: 8, maxLength: 8 });

const linkMessage: fc.Arbitrary<LinkMessage> = fc.oneof(
  fc.record({ kind: fc.constantFrom('heartbeat', 'probe'), path: u32, token }),
  fc.record({
    kind: fc.constantFrom('heartbeat-ack', 'probe-ack'),
    path: u32,
    token,
    plainWelcome: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('rekey'),
    phase: u8,
    step: fc.integer({ min: 0, max: 2 }),
    bytes: fc.uint8Array({ maxLength: 300 }),
  }),
  fc.tuple(u32, u16, u16, fc.array(token)).map(([version, x, y, macs]): LinkMessage => ({
    kind: 'macs',
    version,
    part: Math.min(x, y, 65_534),
    parts: Math.min(Math.max(x, y) + 1, 65_535),
    macs: Uint8Array.from(macs.flatMap((mac) => [...mac.subarray(0, 6)])),
  })),
  fc.record({ kind: fc.constant('macs-ack'), version: u32 }),
  fc.record({ kind: fc.constant('close'), reason: u8 }),
);

function encode(message: LinkMessage, size = 0): Uint8Array {
  const out = new Uint8Array(Math.max(linkMessageBytes(message), size)).fill(0xee);
  const length = writeLinkMessage(message, out, 0, size);
  return out.subarray(0, length);
}

function parse(bytes: Uint8Array): LinkMessage | undefined {
  return parseLinkMessage(bytes[0]!, bytes[1]!, bytes, 2, bytes.length - 2);
}

test('every link message survives the wire', (t) => {
  fc.assert(
    fc.property(linkMessage, (message) => {
      const bytes = encode(message);
      t.is(bytes.length, linkMessageBytes(message));
      t.deepEqual(parse(bytes), message);
    }),
  );
  t.pass();
});

test('link messages have the bytes of the protocol', (t) => {
  const bytes8 = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const cases: [LinkMessage, string][] = [
    [{ kind: 'heartbeat', path: 0x01020304, token: bytes8 }, '0400040302010102030405060708'],
    [{ kind: 'heartbeat-ack', path: 1, token: bytes8, plainWelcome: true }, '0501010000000102030405060708'],
    [{ kind: 'probe', path: 1, token: bytes8 }, '0600010000000102030405060708'],
    [{ kind: 'probe-ack', path: 1, token: bytes8, plainWelcome: false }, '0700010000000102030405060708'],
    [{ kind: 'rekey', phase: 7, step: 1, bytes: Uint8Array.of(9) }, '0800070109'],
    [
      { kind: 'macs', version: 2, part: 3, parts: 4, macs: Uint8Array.of(2, 0, 0, 0, 0, 1) },
      '09000200000003000400020000000001',
    ],
    [{ kind: 'macs-ack', version: 0xfffffffe }, '0a00feffffff'],
    [{ kind: 'close', reason: 5 }, '0b0005'],
  ];
  for (const [message, hex] of cases) {
    t.is(toHex(encode(message)), hex);
    t.deepEqual(parse(fromHex(hex)!), message);
  }
});

test('only heartbeats and probes are padded, with zeros, and padding is not read', (t) => {
  const heartbeat: LinkMessage = { kind: 'heartbeat', path: 5, token: new Uint8Array(8).fill(1) };
  const padded = encode(heartbeat, 100);
  t.is(padded.length, 100);
  t.true(padded.subarray(14).every((byte) => byte === 0));
  t.deepEqual(parse(padded), heartbeat);
  t.is(encode({ kind: 'macs-ack', version: 1 }, 100).length, 6);
});

test('random and truncated bytes are parsed or refused, never thrown on', (t) => {
  fc.assert(
    fc.property(u8, u8, fc.uint8Array({ maxLength: 64 }), u8, u8, (kind, flags, data, offset, length) => {
      parseLinkMessage(kind % 13, flags, data, offset % 70, length % 70);
    }),
  );
  fc.assert(
    fc.property(linkMessage, fc.nat(), (message, cut) => {
      const bytes = encode(message);
      parse(bytes.subarray(0, Math.max(2, cut % bytes.length)));
    }),
  );
  t.pass();
});

test('malformed link messages are refused', (t) => {
  const cases = {
    'heartbeat cut short': '04000403020101020304050607',
    'ack with padding': '050001000000010203040506070800',
    'rekey without step': '080007',
    'rekey step 3': '08000703',
    'macs with half a MAC': '0900020000000000010002000000',
    'macs part beyond its parts': '09000200000004000400',
    'macs without parts': '09000200000000000000',
    'macs-ack too long': '0a000100000000',
    'close without reason': '0b00',
    'frame on the slow path': '010000',
    'unknown kind': '0c0000',
  };
  for (const [what, hex] of Object.entries(cases)) t.is(parse(fromHex(hex)!), undefined, what);
});

test('a parsed message does not change when its buffer is used again', (t) => {
  const bytes = encode({ kind: 'rekey', phase: 0, step: 1, bytes: Uint8Array.of(1, 2, 3) });
  const message = parse(bytes);
  bytes.fill(0);
  t.deepEqual(message, { kind: 'rekey', phase: 0, step: 1, bytes: Uint8Array.of(1, 2, 3) });
});

test('a message that its buffer cannot hold is a bug', (t) => {
  t.throws(() => writeLinkMessage({ kind: 'close', reason: 0 }, new Uint8Array(4), 2));
});

test('broadcast prefixes survive the wire', (t) => {
  const originator = fc.integer({ min: 0, max: 2 ** 48 - 1 });
  fc.assert(
    fc.property(originator, u32, u8, u8, (mac, sequence, ttl, epoch) => {
      const out = new Uint8Array(20);
      const length = writeBroadcastPrefix(out, 3, 1, { originator: mac, sequence, ttl, epoch });
      t.is(length, 14);
      t.deepEqual([out[3], out[4], out[17]], [2, 1, 0].with(2, out[17]!));
      t.is(broadcastOriginator(out, 5), mac);
      t.is(broadcastSequence(out, 5), sequence);
      t.is(broadcastTtl(out, 5), ttl);
      t.is(broadcastEpoch(out, 5), epoch);
    }),
  );
});

test('hot prefixes have the bytes of the protocol', (t) => {
  const out = new Uint8Array(14);
  t.is(writeFramePrefix(out, 0, 1), 2);
  t.is(toHex(out.subarray(0, 2)), '0101');
  const header = { originator: 0x7a0102030405, sequence: 6, ttl: 64, epoch: 9 };
  writeBroadcastPrefix(out, 0, 0, header);
  t.is(toHex(out), '02007a010203040506000000' + '4009');
  t.is(writeFragmentPrefix(out, 0, 1, 0x0203, 0x0405), 10);
  t.is(toHex(out.subarray(0, 10)), '03000100000003020504');
});

test('fragments are taken if their bytes lie within the total and begin no other fragment', (t) => {
  const fragment = (start: number, total: number, first: number, bytes: number): Uint8Array => {
    const out = new Uint8Array(10 + bytes);
    writeFragmentPrefix(out, 0, 77, start, total);
    if (bytes > 0) out[10] = first;
    return out.subarray(2);
  };
  const cases: [start: number, total: number, first: number, bytes: number, taken: boolean][] = [
    [0, 10, 1, 10, true],
    [0, 10, 1, 5, true],
    [5, 10, 3, 5, true],
    [9, 10, 0, 1, true],
    [6, 10, 0, 5, false],
    [0, 10, 3, 5, false],
    [0, 10, 1, 0, false],
    [10, 10, 1, 1, false],
    [0, 1, 1, 1, false],
    [65_535, 65_535, 1, 1, false],
  ];
  for (const [start, total, first, bytes, taken] of cases) {
    const payload = fragment(start, total, first, bytes);
    t.is(isFragment(payload, 0, payload.length), taken, `${start} of ${total}`);
    t.is(fragmentId(payload, 0), 77);
    t.is(fragmentOffset(payload, 0), start);
    t.is(fragmentTotal(payload, 0), total);
  }
  t.false(isFragment(new Uint8Array(7), 0, 7));
});

test('a broadcast holds its own header and an Ethernet header', (t) => {
  t.true(isBroadcast(26));
  t.false(isBroadcast(25));
});
