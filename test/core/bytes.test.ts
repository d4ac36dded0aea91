import test from 'ava';
import { fromHex, secretUtf8, toHex, utf8 } from '../../core/bytes.ts';

test('every byte survives its two hexadecimal digits, of either case', (t) => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  const text = toHex(all);
  t.true(text.startsWith('000102') && text.endsWith('fdfeff'));
  t.deepEqual(fromHex(text), all);
  t.deepEqual(fromHex(text.toUpperCase()), all);
});

for (const text of ['0', '0g', 'g0', '0x', ' 0', '-1', '00ü0', '0 ']) {
  test(`"${text}" is not hexadecimal`, (t) => {
    t.is(fromHex(text), undefined);
  });
}

test('a secret text is UTF-8 in a buffer of just its length', (t) => {
  for (const text of ['', 'secret', 'pässwört', '\u{1f511}日本', '\ud800']) {
    const secret = secretUtf8(text);
    t.deepEqual(secret, utf8(text));
    t.is(secret.buffer.byteLength, secret.length);
  }
});
