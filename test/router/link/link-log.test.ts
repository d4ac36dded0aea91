import test from 'ava';
import { LinkLog, type LinkLook } from '../../../router/link/link-log.ts';
import { nameOf } from './routes-of.ts';

const peer = nameOf(2);

/** The lines for what a link goes through: level, message and the field that says why or how. */
function linesFor(...looks: readonly Partial<LinkLook>[]): (readonly unknown[] | undefined)[] {
  const log = new LinkLog(peer);
  return looks.map((look) => {
    const line = log.lineFor({ state: 'up', path: 'direct', hasSession: true, ...look });
    return line && [line.level, line.message, line.fields['path'] ?? line.fields['reason']];
  });
}

const UP = ['info', 'link up', 'direct'];

test('a link is said to be up when it is, once, with its path', (t) => {
  t.deepEqual(linesFor({ state: 'offering' }, { state: 'probing' }, {}, {}), [
    undefined,
    undefined,
    UP,
    undefined,
  ]);
});

test('a link that was up is down at once when no path answers, and said to be so once', (t) => {
  const down = ['warn', 'link down', 'no path answers'];
  t.deepEqual(linesFor({}, { state: 'probing' }, { state: 'down' }, {}), [UP, down, undefined, UP]);
});

test('a link that never was up is down when it was tried in vain', (t) => {
  const down = ['warn', 'link down', 'there is no session'];
  t.deepEqual(linesFor({ state: 'offering' }, { state: 'down', hasSession: false }), [undefined, down]);
});

test('another path of a link and its end are said', (t) => {
  t.deepEqual(linesFor({}, { path: 'relay' }, { state: 'idle' }, { state: 'idle' }), [
    UP,
    ['info', 'link has another path', 'relay'],
    ['info', 'link closed', undefined],
    undefined,
  ]);
});

test('every line names the peer', (t) => {
  const line = new LinkLog(peer).lineFor({ state: 'up', path: 'relay', hasSession: true });
  t.deepEqual(line?.fields, { peer, path: 'relay' });
});
