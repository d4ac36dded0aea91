import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { BadValue } from '../../cli/exit.ts';
import { rotatePasswords } from '../../cli/rotation.ts';
import type { Rotation } from '../../router/control-node.ts';

const ROTATION: Rotation = { accepted: 2, added: 1, dropped: 0, remaking: 0 };

function file(t: ExecutionContext, text: string, mode = 0o600): string {
  const dir = mkdtempSync(join(tmpdir(), 'weave-ts-rotation-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'password');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

/** A node that notes what it is given. */
function fakeNode(answer: Rotation | string = ROTATION) {
  const given: string[][] = [];
  const apply = (passwords: readonly Uint8Array[]) => {
    given.push(passwords.map((bytes) => Buffer.from(bytes).toString()));
    return answer;
  };
  return { given, apply };
}

test('the lines of the file go to the node in their order, and what became of them is told', (t) => {
  const { given, apply } = fakeNode();
  t.deepEqual(rotatePasswords(file(t, 'old\nnew\n'), true, apply), { ...ROTATION, notes: [] });
  t.deepEqual(given, [['old', 'new']]);
});

test('a file that others can read is used, with a warning', (t) => {
  const { given, apply } = fakeNode();
  const { notes } = rotatePasswords(file(t, 'old\n', 0o644), true, apply);
  t.is(notes.length, 1);
  t.regex(notes[0]!, /can be read by others: chmod 600/);
  t.is(given.length, 1);
});

for (const [what, text, message] of [
  ['an empty file', '\n', /is empty/],
  ['three lines', 'a\nb\nc\n', /holds 3 passwords: at most 2/],
] as const) {
  test(`${what} changes nothing and says so`, (t) => {
    const { given, apply } = fakeNode();
    t.throws(() => rotatePasswords(file(t, text), true, apply), { instanceOf: BadValue, message });
    t.deepEqual(given, []);
  });
}

test('without a file, or without a readable one, nothing changes', (t) => {
  const { given, apply } = fakeNode();
  for (const [path, encrypted, message] of [
    ['/nonexistent/x', true, /cannot read the password file "\/nonexistent\/x": there is no such file/],
    [undefined, true, /came from WEAVE_PASSWORD or --password, which cannot be read again/],
    [undefined, false, /no password is set, so there is none to rotate/],
  ] as const) {
    t.throws(() => rotatePasswords(path, encrypted, apply), { instanceOf: BadValue, message });
  }
  t.deepEqual(given, []);
});

test('what the node refuses is refused', (t) => {
  const { apply } = fakeNode('no password is set');
  t.throws(() => rotatePasswords(file(t, 'a\n'), true, apply), { message: 'no password is set' });
});
