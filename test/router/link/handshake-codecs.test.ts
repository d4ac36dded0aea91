import test from 'ava';
import { parseCidr, parseEndpoint } from '../../../core/address.ts';
import type { PeerName } from '../../../core/peer-name.ts';
import { SeededRandom } from '../../../core/random.ts';
import { encodePayload, parsePayload } from '../../../router/link/handshake-payload.ts';
import type { HandshakePayload } from '../../../router/link/handshake-payload.ts';
import { MAX_HANDSHAKE_BYTES, encodeEnvelope, parseEnvelope } from '../../../router/link/offer-envelope.ts';

const payload: HandshakePayload = {
  encrypted: true,
  offer: 2 ** 40 + 5,
  index: 0xfedcba90,
  bridgeMtu: 1_388,
  workers: 1,
  cookie: Uint8Array.from({ length: 16 }, (_, i) => i),
  candidates: [parseEndpoint('192.0.2.1', 6783)!, parseEndpoint('[2001:db8::1]:7000', 6783)!],
  trusted: [parseCidr('192.0.2.0/24')!, parseCidr('2001:db8::/32')!],
};
const envelope = {
  from: '00:00:00:00:00:0a' as PeerName,
  to: '00:00:00:00:00:0b' as PeerName,
  offer: 7,
  bytes: Uint8Array.of(1, 2, 3),
};

test('a payload is read as it was written', (t) => {
  t.deepEqual(parsePayload(encodePayload(payload)), payload);
  const bare = { ...payload, encrypted: false, candidates: [], trusted: [] };
  t.deepEqual(parsePayload(encodePayload(bare)), bare);
});

test('more candidates and trusted subnets than allowed are left out', (t) => {
  const many = {
    ...payload,
    candidates: Array.from({ length: 20 }, () => payload.candidates[0]!),
    trusted: Array.from({ length: 70 }, () => payload.trusted[0]!),
  };
  const read = parsePayload(encodePayload(many));
  t.is(read?.candidates.length, 16);
  t.is(read?.trusted.length, 64);
});

test('every truncation of a payload is refused, and bytes after it are left to later versions', (t) => {
  const bytes = encodePayload(payload);
  for (let i = 0; i < bytes.length; i++) t.is(parsePayload(bytes.subarray(0, i)), undefined, `${i} bytes`);
  t.deepEqual(parsePayload(Uint8Array.of(...bytes, 9, 9)), payload);
});

const COUNT_OFFSET = 1 + 1 + 8 + 4 + 2 + 1 + 16;
for (const [what, offset, value] of [
  ['an unknown format', 0, 2],
  ['an offer number beyond 2^53', 9, 0x20],
  ['more candidates than allowed', COUNT_OFFSET, 17],
  ['an unknown address family', COUNT_OFFSET + 1, 5],
] as const) {
  test(`a payload with ${what} is refused`, (t) => {
    const bytes = encodePayload(payload);
    bytes[offset] = value;
    t.is(parsePayload(bytes), undefined);
  });
}

test('a payload with index 0, port 0 or a prefix that is too long is refused', (t) => {
  t.is(parsePayload(encodePayload({ ...payload, index: 0 })), undefined);
  t.is(
    parsePayload(encodePayload({ ...payload, candidates: [{ ip: payload.candidates[0]!.ip, port: 0 }] })),
    undefined,
  );
  t.is(
    parsePayload(encodePayload({ ...payload, trusted: [{ ip: payload.trusted[0]!.ip, prefix: 33 }] })),
    undefined,
  );
});

test('random bytes never throw, neither as a payload nor as an envelope', (t) => {
  const random = new SeededRandom(3);
  for (let i = 0; i < 3_000; i++) {
    const bytes = random.bytes(i % 100);
    if (bytes.length > 0) bytes[0] = 1;
    t.notThrows(() => [parsePayload(bytes), parseEnvelope(bytes)]);
  }
});

test('an envelope is read as it was written', (t) => {
  t.deepEqual(parseEnvelope(encodeEnvelope(envelope)), envelope);
});

test('an envelope that is cut short, empty or too long is refused', (t) => {
  const bytes = encodeEnvelope(envelope);
  for (let i = 0; i < 20; i++) t.is(parseEnvelope(bytes.subarray(0, i)), undefined);
  t.is(parseEnvelope(encodeEnvelope({ ...envelope, bytes: new Uint8Array(0) })), undefined);
  const long = { ...envelope, bytes: new Uint8Array(MAX_HANDSHAKE_BYTES + 1) };
  t.is(parseEnvelope(encodeEnvelope(long)), undefined);
});
