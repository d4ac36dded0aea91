import test from 'ava';
import { parsePeerName, readPeerName, writePeerName } from '../../core/peer-name.ts';

for (const [text, name] of [
  ['7A:01:02:03:04:ff', '7a:01:02:03:04:ff'],
  ['::1', '00:00:00:00:00:01'],
  ['1::', '01:00:00:00:00:00'],
  ['1::2:3', '01:00:00:00:02:03'],
  ['::', '00:00:00:00:00:00'],
] as const) {
  test(`the peer name ${text} is ${name} and survives its bytes`, (t) => {
    const parsed = parsePeerName(text)!;
    t.is(parsed, name as typeof parsed);
    const bytes = new Uint8Array(8);
    writePeerName(parsed, bytes, 1);
    t.is(readPeerName(bytes, 1), parsed);
  });
}

for (const text of [
  '',
  '1',
  '1:2:3:4:5',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6::',
  '1::2::3',
  'g::',
  '100::',
  '1:2:3:4:5:',
]) {
  test(`"${text}" is not a peer name`, (t) => {
    t.is(parsePeerName(text), undefined);
  });
}

test('names that differ in one byte alone stay apart, however many were read before', (t) => {
  const names = new Set<string>();
  for (let i = 0; i < 6; i++) {
    for (let value = 0; value < 256; value++) {
      const bytes = new Uint8Array(6);
      bytes[i] = value;
      names.add(readPeerName(bytes, 0));
    }
  }
  t.is(names.size, 6 * 255 + 1);
});
