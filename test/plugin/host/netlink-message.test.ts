import test from 'ava';
import fc from 'fast-check';
import { concatBytes } from '../../../core/bytes.ts';
import { readLink } from '../../../plugin/host/link-requests.ts';
import {
  attribute,
  message,
  nested,
  parseAttributes,
  parseMessages,
  readU32,
  text,
  u16,
  u32,
  u8,
} from '../../../plugin/host/netlink-message.ts';

test('messages and attributes come back as they were put together', (t) => {
  const body = [u32(7), attribute(3, text('eth0')), nested(18, attribute(1, u8(9)), attribute(2, u16(5)))];
  const [first, second, ...more] = parseMessages(
    concatBytes(message(16, 5, ...body), message(17, 1, u32(8))),
  );
  t.deepEqual([first!.type, second!.type, more], [16, 17, []]);
  t.is(readU32(first!.body), 7);
  const attributes = parseAttributes(first!.body, 4);
  t.is(Buffer.from(attributes.get(3)!).toString(), 'eth0\0');
  const inner = parseAttributes(attributes.get(18)!, 0);
  t.deepEqual([inner.get(1), inner.get(2)], [u8(9), u16(5)]);
});

test('lengths count the value and not what fills it up', (t) => {
  const [only] = parseMessages(message(1, 0, attribute(1, u8(1)), attribute(2, u8(2), u8(3))));
  t.is(only!.body.length, 16);
  t.deepEqual(
    [...parseAttributes(only!.body, 0)],
    [
      [1, Uint8Array.of(1)],
      [2, Uint8Array.of(2, 3)],
    ],
  );
});

test('what a link is told by is read, and nothing where it is cut short', (t) => {
  const fixed = [u8(0), u8(0), u16(1), u32(42), u32(1), u32(0)];
  const whole = message(16, 0, ...fixed, attribute(5, u32(2)), attribute(16, u8(6)));
  t.deepEqual(readLink(whole), { index: 42, peer: 2, operational: true });
  t.deepEqual(readLink(message(16, 0, ...fixed, attribute(16, u8(2)))), {
    index: 42,
    peer: undefined,
    operational: false,
  });
  t.is(readLink(message(17, 0, ...fixed)), undefined);
  for (let length = 0; length < whole.length; length++) t.is(readLink(whole.subarray(0, length)), undefined);
});

test('bytes of any kind are read to their end', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      for (const { body } of parseMessages(bytes)) parseAttributes(body, 16);
      readLink(bytes);
    }),
  );
  t.pass();
});
