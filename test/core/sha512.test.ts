import test from 'ava';
import { fromHex, toHex, utf8 } from '../../core/bytes.ts';
import { hmacSha512, sha512 } from '../../core/sha512.ts';

test('the hash of "abc" and of nothing are those of FIPS 180-4', (t) => {
  t.is(
    toHex(sha512(utf8('abc'))),
    'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a' +
      '2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
  );
  t.is(
    toHex(sha512(new Uint8Array(0))),
    'cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce' +
      '47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e',
  );
});

test('codes are those of RFC 4231, also with a key longer than a block', (t) => {
  t.is(
    toHex(hmacSha512(fromHex('0b'.repeat(20))!, utf8('Hi There'))),
    '87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde' +
      'daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854',
  );
  t.is(
    toHex(
      hmacSha512(fromHex('aa'.repeat(131))!, utf8('Test Using Larger Than Block-Size Key - Hash Key First')),
    ),
    '80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352' +
      '6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598',
  );
});

test('what is returned is an array like others, and its own', (t) => {
  const [one, two] = [sha512(utf8('x')), sha512(utf8('x'))];
  t.is(Object.getPrototypeOf(one), Uint8Array.prototype);
  t.deepEqual(one, two);
  one.fill(0);
  t.notDeepEqual(one, two);
  t.is(two.buffer.byteLength, 64, 'no part of a pool that others share');
  t.is(hmacSha512(utf8('k'), utf8('x')).buffer.byteLength, 64);
});
