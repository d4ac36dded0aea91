import test from 'ava';
import fc from 'fast-check';
import { toHex } from '../../../core/bytes.ts';
import { foldChecksum, onesSum } from '../../../router/wire/checksum.ts';
import { LONGEST_ANSWER, mtuToAnswer, writeTooBig } from '../../../router/wire/icmp.ts';
import { ethernet, ipv4, ipv6, type Ipv4Fields, type Ipv6Fields } from './frames.ts';

const TO = 0x020000000002;
const FROM = 0x020000000001;

function frame4(
  fields: Ipv4Fields = {},
  payload: Uint8Array = new Uint8Array(1_480).fill(8),
  tags = 0,
): Uint8Array {
  return ethernet(TO, FROM, 0x0800, ipv4(payload, fields), tags);
}

function frame6(
  fields: Ipv6Fields = {},
  payload: Uint8Array = new Uint8Array(1_460).fill(128),
  tags = 0,
): Uint8Array {
  return ethernet(TO, FROM, 0x86dd, ipv6(payload, fields), tags);
}

function asked(frame: Uint8Array, mtu = 1_388): number {
  return mtuToAnswer(frame, 0, frame.length, mtu);
}

function answer(frame: Uint8Array, mtu: number): Uint8Array {
  const out = new Uint8Array(LONGEST_ANSWER + 5);
  return out.slice(5, 5 + writeTooBig(frame, 0, frame.length, mtu, out, 5));
}

test('the checksum of RFC 1071 holds for its own example', (t) => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  t.is(foldChecksum(onesSum(bytes, 0, 8)), ~0xddf2 & 0xffff);
  t.is(foldChecksum(onesSum(bytes, 1, 3)), ~(0x01f2 + 0x0300) & 0xffff);
});

test('IPv4 with DF is answered by fragmentation-needed from its destination', (t) => {
  const frame = frame4({}, new Uint8Array(1_480).fill(0xa7));
  t.is(asked(frame), 1_388);
  const out = answer(frame, 1_388);
  t.is(toHex(out.subarray(0, 14)), '020000000001' + '020000000002' + '0800');
  t.is(out.length, 14 + 576);
  t.is(toHex(out.subarray(14, 24)), '45c00240' + '00004000' + '4001');
  t.is(toHex(out.subarray(26, 34)), '0a200002' + '0a200001');
  t.is(foldChecksum(onesSum(out, 14, 20)), 0);
  t.is(toHex(out.subarray(34, 36)), '0304');
  t.is(toHex(out.subarray(38, 42)), '0000056c');
  t.is(foldChecksum(onesSum(out, 34, out.length - 34)), 0);
  t.deepEqual(out.subarray(42), frame.subarray(14, 14 + 548));
});

test('IPv6 is answered by packet-too-big from its destination', (t) => {
  const frame = frame6({}, new Uint8Array(1_460).fill(0xa7));
  t.is(asked(frame), 1_388);
  const out = answer(frame, 1_388);
  t.is(toHex(out.subarray(0, 14)), '020000000001' + '020000000002' + '86dd');
  t.is(out.length, 14 + 1_280);
  t.is(toHex(out.subarray(14, 22)), '6c000000' + '04d8' + '3a40');
  t.is(toHex(out.subarray(22, 38)), '20010db8000000000000000000000002');
  t.is(toHex(out.subarray(38, 54)), '20010db8000000000000000000000001');
  t.is(toHex(out.subarray(54, 56)), '0200');
  t.is(toHex(out.subarray(58, 62)), '0000056c');
  const pseudo = onesSum(out, 22, 32, 1_240 + 58);
  t.is(foldChecksum(onesSum(out, 54, 1_240, pseudo)), 0);
  t.deepEqual(out.subarray(62), frame.subarray(14, 14 + 1_232));
});

test('VLAN tags are kept in the answer', (t) => {
  for (const frame of [frame4({}, undefined, 1), frame6({}, undefined, 2)]) {
    const tagBytes = frame[12] === 0x88 ? 8 : 4;
    const out = answer(frame, asked(frame));
    t.deepEqual(out.subarray(12, 14 + tagBytes), frame.subarray(12, 14 + tagBytes));
    t.is(out[14 + tagBytes]! >> 4, frame[14 + tagBytes]! >> 4);
  }
});

test('a short packet is quoted whole', (t) => {
  const frame = frame4({}, new Uint8Array(9));
  t.is(answer(frame, 20).length, 14 + 20 + 8 + 29);
});

const dontAnswer: { what: string; frame: Uint8Array }[] = [
  { what: 'IPv4 without DF', frame: frame4({ df: false }) },
  { what: 'another protocol than IP', frame: ethernet(TO, FROM, 0x0806, new Uint8Array(1_500)) },
  { what: 'a group MAC', frame: ethernet(0x01005e000001, FROM, 0x0800, ipv4(new Uint8Array(1_480))) },
  { what: 'an IPv4 multicast destination', frame: frame4({ to: '224.0.0.1' }) },
  { what: 'the IPv4 broadcast address', frame: frame4({ to: '255.255.255.255' }) },
  { what: 'an unspecified IPv4 source', frame: frame4({ from: '0.0.0.0' }) },
  { what: 'a later IPv4 fragment', frame: frame4({ fragmentOffset: 1 }) },
  { what: 'a late IPv4 fragment', frame: frame4({ fragmentOffset: 256 }) },
  { what: 'an ICMPv4 error', frame: frame4({ protocol: 1 }, new Uint8Array(1_480).fill(3)) },
  { what: 'an ICMPv4 time exceeded', frame: frame4({ protocol: 1 }, new Uint8Array(1_480).fill(11)) },
  {
    what: 'an IPv4 header that is too short',
    frame: ethernet(TO, FROM, 0x0800, new Uint8Array(1_500).fill(0x44)),
  },
  { what: 'IPv6 that every link must carry', frame: frame6({}, new Uint8Array(1_240)) },
  { what: 'an IPv6 multicast destination', frame: frame6({ to: 'ff02::1' }) },
  { what: 'an unspecified IPv6 source', frame: frame6({ from: '::' }) },
  { what: 'an ICMPv6 error', frame: frame6({ next: 58 }, new Uint8Array(1_460).fill(1)) },
  { what: 'an ICMPv6 redirect', frame: frame6({ next: 58 }, new Uint8Array(1_460).fill(137)) },
  { what: 'a later IPv6 fragment', frame: frame6({ next: 44 }, filled(1_460, [17, 0, 0, 8])) },
  {
    what: 'an ICMPv6 error after options',
    frame: frame6({ next: 60 }, filled(1_460, [58, 0, 0, 0, 0, 0, 0, 0, 3])),
  },
  { what: 'IPv6 options without end', frame: frame6({ next: 0 }, new Uint8Array(1_460)) },
  { what: 'IPv6 options longer than the packet', frame: frame6({ next: 0 }, filled(1_460, [17, 255])) },
];
for (const { what, frame } of dontAnswer) {
  test(`${what} is not answered`, (t) => t.is(asked(frame), 0));
}

test('ICMP queries, first fragments and packets after options are answered', (t) => {
  t.is(asked(frame4({ protocol: 1 }, new Uint8Array(1_480).fill(8))), 1_388);
  t.is(asked(frame6({ next: 58 }, new Uint8Array(1_460).fill(128))), 1_388);
  t.is(asked(frame6({ next: 44 }, filled(1_460, [17, 0, 0, 1]))), 1_388);
  t.is(asked(frame6({ next: 60 }, filled(1_460, [17, 1]))), 1_388);
  t.is(asked(frame6({ next: 60 }, filled(1_460, [58, 0, 0, 0, 0, 0, 0, 0, 128]))), 1_388);
});

test('IPv6 is never told less than 1280', (t) => {
  t.is(asked(frame6(), 1_168), 1_280);
  t.is(asked(frame4(), 1_168), 1_168);
});

test('whatever the bytes, the decision and the answer stay within their buffers', (t) => {
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 120 });
  const types = fc.constantFrom(0x0800, 0x86dd, 0x8100);
  fc.assert(
    fc.property(bytes, types, fc.integer({ min: 0, max: 15 }), (payload, type, first) => {
      const frame = ethernet(TO, FROM, type, payload);
      if (payload.length > 0) frame[14] = (type === 0x0800 ? 0x40 : 0x60) | first;
      if (mtuToAnswer(frame, 0, frame.length, 60) === 0) return;
      const out = new Uint8Array(LONGEST_ANSWER);
      t.true(writeTooBig(frame, 0, frame.length, 60, out, 0) <= LONGEST_ANSWER);
    }),
  );
  t.pass();
});

function filled(length: number, first: number[]): Uint8Array {
  const out = new Uint8Array(length);
  out.set(first);
  return out;
}
