import test from 'ava';
import { parsePeerName } from '../../core/peer-name.ts';
import { SeededRandom } from '../../core/random.ts';
import { IDENTITY_KEY, identityChange, loadIdentity } from '../../router/identity.ts';
import type { LoadedIdentity } from '../../router/identity.ts';
import { loadTargets, targetsChange } from '../../router/stored-targets.ts';
import { fakePrimitives } from '../sim/fake-primitives.ts';

function load(stored: Map<string, Uint8Array>, name?: string, seed = 1): LoadedIdentity {
  const override = name === undefined ? undefined : parsePeerName(name)!;
  const loaded = loadIdentity(stored, { name: override }, fakePrimitives, new SeededRandom(seed));
  if ('error' in loaded) throw new Error(loaded.error);
  for (const { key, value } of loaded.changes) stored.set(key, value!);
  return loaded;
}

test('a first start draws a name, a key and a generation, and has incarnation 1', (t) => {
  const { identity, changes, renamedFrom } = load(new Map());
  t.is(identity.incarnation, 1);
  t.is(changes.length, 1);
  t.is(renamedFrom, undefined);
  t.is(identity.generation.length, 8);
  t.is(Number.parseInt(identity.name.slice(0, 2), 16) & 3, 2, 'locally administered, unicast');
  t.not(load(new Map(), undefined, 2).identity.name, identity.name);
});

test('every start raises the incarnation and keeps all else', (t) => {
  const stored = new Map<string, Uint8Array>();
  const first = load(stored).identity;
  const second = load(stored, undefined, 2).identity;
  t.deepEqual(second, { ...first, incarnation: 2 });
  stored.set(IDENTITY_KEY, identityChange({ ...second, incarnation: 2 ** 40 }).value!);
  t.is(load(stored).identity.incarnation, 2 ** 40, 'the last that others accept');
});

test('a given name replaces the stored one, which is reported', (t) => {
  const stored = new Map<string, Uint8Array>();
  const first = load(stored).identity;
  const { identity, renamedFrom } = load(stored, '::7');
  t.is(identity.name, parsePeerName('::7')!);
  t.is(renamedFrom, first.name);
  t.deepEqual(identity.staticKey, first.staticKey);
  t.is(load(stored, '::7').renamedFrom, undefined);
  t.is(load(new Map(), '::7').renamedFrom, undefined);
});

test('a damaged identity is an error, never a new one', (t) => {
  const stored = new Map<string, Uint8Array>();
  load(stored);
  const good = stored.get(IDENTITY_KEY)!;
  for (const bad of [
    good.subarray(1),
    good.subarray(0, good.length - 1),
    Uint8Array.of(...good, 0),
    Uint8Array.of(),
  ]) {
    stored.set(IDENTITY_KEY, bad);
    t.throws(() => load(stored), { message: /damaged/ });
  }
});

test('targets and candidates are read back as they were stored', (t) => {
  const name = parsePeerName('::1')!;
  const targets = {
    targets: ['host:1'],
    candidates: [{ name, addresses: ['192.0.2.1:6783'], remaining: 7 }],
  };
  const { key, value } = targetsChange(targets);
  t.deepEqual(loadTargets(new Map([[key, value!]])), targets);
});

test('a candidate that was stored without the time that is left has all of it', (t) => {
  for (const remaining of ['', ',"remaining":-1', ',"remaining":"x"', ',"remaining":null']) {
    const text = `{"targets":[],"candidates":[{"name":"::1","addresses":["h:1"]${remaining}}]}`;
    const { candidates } = loadTargets(new Map([['targets', new TextEncoder().encode(text)]]));
    t.deepEqual(candidates, [{ name: parsePeerName('::1')!, addresses: ['h:1'], remaining: 86_400_000 }]);
  }
});

for (const text of ['', 'x', '7', 'null', '{}', '{"targets":7,"candidates":[1,{"name":"x"},{"name":9}]}']) {
  test(`damaged targets count as none: ${text}`, (t) => {
    const stored = new Map([['targets', new TextEncoder().encode(text)]]);
    t.deepEqual(loadTargets(stored), { targets: [], candidates: [] });
  });
}
