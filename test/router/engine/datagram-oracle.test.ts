import test from 'ava';
import { openDatagram, plainDatagram, sealDatagram } from './datagram-oracle.ts';

const KEY = new Uint8Array(32).fill(7);
const INNER = Uint8Array.of(4, 0, 1, 2, 3);
const COOKIE = new Uint8Array(16).fill(9);
const HEADER = { phase: 200, index: 0xfffffffe, counter: 2n ** 64n - 1n };

test('the oracle reads what it writes, to the last counter of 64 bits', (t) => {
  const sealed = sealDatagram(KEY, HEADER, INNER);
  t.like(openDatagram(KEY, sealed), { type: 1, ...HEADER, inner: INNER });
  t.is(openDatagram(KEY.with(0, 0), sealed).inner, undefined);
  t.is(openDatagram(KEY, sealed.with(8, 0)).inner, undefined, 'another counter is another nonce');
  t.deepEqual(openDatagram(KEY, sealed.with(4, 0)).inner, INNER, 'the index is not authenticated');
});

test('the oracle tells a plain datagram from a sealed one', (t) => {
  const plain = openDatagram(KEY, plainDatagram(COOKIE, HEADER, INNER));
  t.like(plain, { type: 2, ...HEADER, inner: INNER, tail: COOKIE });
});
