import test from 'ava';
import fc from 'fast-check';
import { toHex } from '../../../core/bytes.ts';
import {
  datagramCounter,
  datagramFault,
  datagramIndex,
  datagramPhase,
  datagramType,
  rewriteDatagramIndex,
  writeDatagramHeader,
} from '../../../router/wire/datagram.ts';

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

test('a header survives the wire', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 }),
      fc.integer({ min: 0, max: 255 }),
      u32,
      fc.maxSafeNat(),
      (type, phase, index, counter) => {
        const out = new Uint8Array(34);
        writeDatagramHeader(out, type, phase, index, counter);
        t.is(datagramFault(out), undefined);
        t.is(datagramType(out), type);
        t.is(datagramPhase(out), phase);
        t.is(datagramIndex(out), index);
        t.is(datagramCounter(out), counter);
      },
    ),
  );
});

test('a header has the bytes of the protocol', (t) => {
  const out = new Uint8Array(16).fill(0xee);
  writeDatagramHeader(out, 1, 7, 0x01020304, 0x05060708090a);
  t.is(toHex(out), '01070000' + '04030201' + '0a09080706050000');
});

test('a relay changes nothing but the index', (t) => {
  const out = new Uint8Array(40).fill(0xee);
  rewriteDatagramIndex(out, 0xfffffffe);
  t.is(datagramIndex(out), 0xfffffffe);
  t.true(out.every((byte, i) => (i >= 4 && i < 8) || byte === 0xee));
});

test('random bytes are sound or have a named fault', (t) => {
  const faults = new Set([
    undefined,
    'datagram-too-short',
    'datagram-type-unknown',
    'datagram-reserved-bits',
  ]);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => faults.has(datagramFault(bytes))));
  t.is(datagramFault(new Uint8Array(33).fill(1)), 'datagram-too-short');
  t.is(datagramFault(new Uint8Array(34)), 'datagram-type-unknown');
  t.is(datagramFault(new Uint8Array(34).fill(1)), 'datagram-reserved-bits');
});
