import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { encodeMessage, type Message } from '../../gossip/messages.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { firstColumn, parseValue, readTables, type Table } from './protocol-tables.ts';
import { constantsOf, literalsOf, sentencesOf, wordsOf } from './source-facts.ts';

const tables = readTables(readFileSync('docs/PROTOCOL.md', 'utf8'));
const constantTables = tables.filter(({ header }) => header[0] === 'name');

test('every table of constants names the file that it is of', (t) => {
  t.true(constantTables.length > 40);
  for (const { path, rows } of constantTables) t.truthy(path, `a table with ${rows[0]?.[0]}`);
});

for (const table of constantTables.filter(({ path }) => path !== undefined)) {
  test(`the constants of ${table.path} are what the document says, and it leaves none out`, (t) => {
    const documented = Object.fromEntries<unknown>(
      table.rows.map(([name, value, unit]) => [name!, parseValue(value!, unit!)]),
    );
    t.deepEqual(documented, Object.fromEntries(constantsOf(table.path!)));
  });
}

const name = '02:00:00:00:00:01' as PeerName;
const samples: { readonly [T in Message['type']]: Extract<Message, { type: T }> } = {
  hello: {
    type: 'hello',
    name,
    nickname: '',
    uid: '0000000000000000',
    incarnation: 1,
    version: '',
    replaces: new Uint8Array(0),
    port: 1,
    acceptsInbound: true,
    seenAt: { ip: { family: 4, value: 1n }, port: 1 },
  },
  gossip: { type: 'gossip', channel: '', delta: new Uint8Array(1) },
  digest: { type: 'digest', roots: [] },
  buckets: { type: 'buckets', channel: '', buckets: new Uint8Array(128), mutual: false },
  want: { type: 'want', channel: '', buckets: 0 },
  unicast: { type: 'unicast', from: name, to: name, ttl: 0, kind: '', bytes: new Uint8Array(0) },
  heartbeat: { type: 'heartbeat' },
  bye: { type: 'bye', reason: '', sentence: '' },
  remake: { type: 'remake' },
  spare: { type: 'spare' },
  keep: { type: 'keep' },
  have: { type: 'have', channel: '', announcement: new Uint8Array(1) },
  ask: { type: 'ask', channel: '', request: new Uint8Array(1) },
};

test('every message of the control connection is listed under its number', (t) => {
  // The number follows the byte that begins the array.
  const coded = Object.values(samples).map((sample) => [sample.type, `${encodeMessage(sample)[1]}`] as const);
  t.deepEqual(numbered(tables, ['type', 'message', 'fields']), Object.fromEntries(coded));
});

test('every kind of inner message is listed under its number', (t) => {
  const kinds = [...constantsOf('router/wire/inner.ts')].filter(([each]) => each.startsWith('KIND_'));
  const coded = kinds.map(([each, number]) => [spoken(each.slice('KIND_'.length)), `${number as number}`]);
  t.deepEqual(numbered(tables, ['kind', 'message']), Object.fromEntries(coded));
});

test('every message of address allocation is listed under its number', (t) => {
  const types = [...constantsOf('ipam/messages.ts')].filter(
    ([each]) => !/_BYTES$|^MAX_|^DENIALS$|^WANTS$|^QUARANTINED$/.test(each),
  );
  const coded = types.map(([each, number]) => [spoken(each), `${number as number}`]);
  t.deepEqual(numbered(tables, ['type', 'message', 'fields after the type']), Object.fromEntries(coded));
});

test('every reason to drop something is listed, and no other', (t) => {
  const coded = [
    ...literalsOf('router/engine/port.ts', 'EngineDrop'),
    ...literalsOf('cli/tap-losses.ts', 'TapLoss'),
    ...literalsOf('router/switch/drops.ts', 'SwitchDrop'),
    ...literalsOf('router/switch/broadcast-window.ts', 'BroadcastVerdict').filter((each) => each !== 'new'),
    ...literalsOf('router/switch/reassembly.ts', 'ReassemblyDrop'),
    ...literalsOf('router/link/offer.ts', 'OfferDrop'),
    ...literalsOf('router/link/circuit.ts', 'CircuitDrop'),
    ...literalsOf('router/link/rekey-handshake.ts', 'RekeyDrop'),
    ...literalsOf('router/link/link-control.ts', 'LinkControlDrop'),
    ...literalsOf('router/link/link.ts', 'LinkDrop'),
    ...literalsOf('ipam/ipam-config.ts', 'IpamDrop'),
    ...wordsOf('router/data-node.ts', '', ['this.#drops.add']),
    ...wordsOf('router/lane-node.ts', '', ['this.#drops.add']),
    ...wordsOf('router/send-failures.ts', '', ['count']),
  ];
  t.deepEqual(firstColumn(tables, 'reason').sort(), unique(coded));
});

test('every way in which a connection fails is listed, and no other', (t) => {
  const files = ['gossip/connection.ts', 'gossip/neighbourhood.ts', 'gossip/gossip.ts'];
  const coded = [
    ...literalsOf('gossip/secure-channel.ts', 'ChannelFailure'),
    ...literalsOf('gossip/handshake-limits.ts', 'LimitReason'),
    ...files.flatMap((file) =>
      wordsOf(file, 'reason', ['this.#fail', 'this.failures.add', 'this.refusals.add']),
    ),
  ];
  t.deepEqual(firstColumn(tables, 'failure').sort(), unique([...coded, 'bye']));
});

test('every sentence about a failure is listed word by word, and no other', (t) => {
  const crypto = readdirSync('router/crypto').map((file) => join('router/crypto', file));
  const files = [
    'gossip/connection.ts',
    'gossip/connection-limit.ts',
    'gossip/neighbourhood.ts',
    'gossip/handshake-limits.ts',
    'gossip/gossip.ts',
    'router/link/offer.ts',
  ];
  const listed = firstColumn(tables, 'sentence').map((cell) => cell.replaceAll('`', ''));
  t.deepEqual(listed.sort(), unique([...crypto, ...files].flatMap(sentencesOf)));
});

/** Name to number of the table with this header, or with one that begins like it. */
function numbered(from: readonly Table[], header: readonly string[]): Record<string, string> {
  const table = from.find((each) => header.every((title, i) => each.header[i] === title));
  return Object.fromEntries(table!.rows.map(([number, each]) => [each!, number!]));
}

function spoken(constant: string): string {
  return constant.toLowerCase().replaceAll('_', '-');
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)].sort();
}
