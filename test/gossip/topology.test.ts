import test from 'ava';
import fc from 'fast-check';
import { MalformedDelta } from '../../gossip/channel.ts';
import { encodeRequest } from '../../gossip/topology-announcement.ts';
import { decodeDelta, encodeBody } from '../../gossip/topology-codec.ts';
import {
  MAX_INCARNATION,
  MAX_NEIGHBOURS,
  MAX_VERSION,
  type Neighbour,
  type TopologyEntry,
} from '../../gossip/topology-entry.ts';
import { COLLECT_AFTER, Topology } from '../../gossip/topology.ts';
import { pack } from '../../core/msgpack.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { delta, entry, linked } from './entries.ts';
import { endpoint, peerName } from './mesh.ts';

function contents(topology: Topology): TopologyEntry[] {
  return Array.from(topology.entries(), (encoded) => encoded.entry).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
}

const anyEntry = fc
  .record({
    index: fc.integer({ min: 2, max: 6 }),
    incarnation: fc.integer({ min: 1, max: 3 }),
    version: fc.integer({ min: 1, max: 4 }),
    uid: fc.constantFrom('00000000000000a1', '00000000000000b2'),
  })
  .map(({ index, incarnation, version, uid }) => {
    // One writer per entry: those with equal stamps are equal.
    const neighbours = linked(...[1, 7, 8].slice(0, version % 4));
    return entry(index, {
      incarnation,
      version,
      uid,
      nickname: `h${incarnation}.${version}.${uid}`,
      neighbours,
    });
  });

test('entries of one delta or another share what they say of a neighbour', (t) => {
  const neighboursIn = (bytes: Uint8Array): (readonly Neighbour[])[] =>
    decodeDelta(bytes).map((one) => one.decode()!.entry.neighbours);
  const flags = [0, 1, 2, 3].map((bits) => ({ established: bits % 2 === 1, direct: bits > 1 }));
  const saying = (index: number, i: number): TopologyEntry =>
    entry(index, { neighbours: [{ name: peerName(9), ...flags[i]! }] });
  const first = neighboursIn(delta(...flags.map((_, i) => saying(i + 1, i)))).flat();
  t.deepEqual(
    first,
    flags.map((flag) => ({ name: peerName(9), ...flag })),
  );
  flags.forEach((_, i) => t.is(neighboursIn(delta(saying(20, i)))[0]![0], first[i]));
  t.throws(() => ((first[0] as { direct: boolean }).direct = true), { instanceOf: TypeError });
  // More names than are remembered.
  for (let from = 10; from < 20_000; from += 500)
    neighboursIn(delta(entry(1, { neighbours: linked(...Array.from({ length: 500 }, (_, i) => from + i)) })));
  t.deepEqual(neighboursIn(delta(saying(20, 3))), [[first[3]!]]);
});

test('deltas survive encoding, IPv6 addresses, info and flags included', (t) => {
  const entries = [
    entry(1, { neighbours: linked(2, 3, 9), info: { b: '2', a: 'one' }, nickname: 'ü' }),
    entry(2, {
      addresses: [endpoint('2001:db8::1', 7_000), endpoint('192.0.2.2', 65_535)],
      version: 2 ** 40,
    }),
    entry(300, { acceptsInbound: false, capabilities: [], incarnation: 2 ** 40 }),
  ];
  t.deepEqual(
    decodeDelta(delta(...entries)).map((row) => row.decode()!.entry),
    entries,
  );
});

test('deltas that name more than 256 peers survive encoding', (t) => {
  const indexes = Array.from({ length: 400 }, (_, i) => i + 1);
  const big = entry(7, { neighbours: linked(...indexes) });
  t.deepEqual(decodeDelta(delta(big))[0]!.decode()!.entry, big);
});

test('the whole state takes less than 600 bytes per peer in a full mesh of 80 and 200 in a sparse one of 1000', (t) => {
  const full = Array.from({ length: 80 }, (_, i) => i + 1).map((i, _, all) =>
    entry(i, { neighbours: linked(...all.filter((j) => j !== i)) }),
  );
  t.true(delta(...full).length / 80 < 250, `${delta(...full).length / 80}`);
  const sparse = Array.from({ length: 1_000 }, (_, i) =>
    entry(i + 1, { neighbours: linked(...Array.from({ length: 16 }, (_n, j) => 1 + j * 60 + (i % 50))) }),
  );
  t.true(delta(...sparse).length / 1_000 < 200, `${delta(...sparse).length / 1_000}`);
});

test('merging is commutative, associative in its effect and idempotent', (t) => {
  fc.assert(
    fc.property(fc.array(anyEntry, { maxLength: 12 }), fc.infiniteStream(fc.nat()), (entries, picks) => {
      const ordered = new Topology(entry(1));
      for (const one of entries) ordered.merge(delta(one), 0, 'a');
      const shuffled = new Topology(entry(1));
      const rest = [...entries, ...entries];
      while (rest.length > 0) {
        const [one] = rest.splice(picks.next().value! % rest.length, 1);
        shuffled.merge(delta(one!), 0, 'b');
      }
      const atOnce = new Topology(entry(1));
      atOnce.merge(delta(...entries), 0, 'c');
      t.deepEqual(contents(shuffled), contents(ordered));
      t.deepEqual(contents(atOnce), contents(ordered));
    }),
    { numRuns: 200, seed: 1 },
  );
});

test('equal states have equal digests, and a differing entry differs in its bucket only', (t) => {
  const names = [2, 3, 4, 5].map(peerName);
  const make = (...entries: TopologyEntry[]): Topology => {
    const topology = new Topology(entry(1));
    topology.merge(delta(...entries), 0, 'x');
    topology.onReachable([peerName(1), ...names], 0);
    return topology;
  };
  const a = make(entry(2), entry(3), entry(4), entry(5));
  const b = make(entry(5), entry(4), entry(3), entry(2));
  const c = make(entry(2), entry(3), entry(4), entry(5, { version: 2 }));
  t.deepEqual(a.digest(), b.digest());
  t.notDeepEqual(a.digest().root, c.digest().root);
  const differing = [...a.digest().buckets].flatMap((byte, i) =>
    byte === c.digest().buckets[i] ? [] : [i >> 3],
  );
  t.is(new Set(differing).size, 1);
  const repaired = a.encode(a.entriesOf(1 << differing[0]!)!)!;
  t.true(decodeDelta(repaired).some(({ name }) => name === peerName(5)));
});

test('digest and entries cover only what is reachable', (t) => {
  const topology = new Topology(entry(1));
  const alone = topology.digest();
  topology.merge(delta(entry(2)), 0, 'x');
  t.deepEqual(topology.digest(), alone);
  t.deepEqual(topology.entriesOf(0xffff), [peerName(1)]);
  topology.onReachable([peerName(1), peerName(2)], 0);
  t.notDeepEqual(topology.digest(), alone);
  topology.onReachable([peerName(1)], 10);
  t.deepEqual(topology.digest(), alone);
});

test('unreachable entries go after 30 s; hearing the same again does not keep them, a newer version does', (t) => {
  const topology = new Topology(entry(1));
  topology.merge(delta(entry(2), entry(3)), 0, 'x');
  topology.merge(delta(entry(2), entry(3, { version: 2 })), 20_000, 'x');
  t.is(topology.nextTimeout(), COLLECT_AFTER);
  topology.onTimeout(COLLECT_AFTER - 1);
  t.truthy(topology.entry(peerName(2)));
  topology.onTimeout(COLLECT_AFTER);
  t.is(topology.entry(peerName(2)), undefined);
  t.truthy(topology.entry(peerName(3)));
  t.deepEqual(
    topology.takeNews().gone.map(({ name }) => name),
    [peerName(2)],
  );
  topology.onTimeout(20_000 + COLLECT_AFTER);
  t.is(topology.entry(peerName(3)), undefined);
  t.is(topology.nextTimeout(), undefined);
});

test('what is new waits to be passed on until it is reachable, with whom it came from', (t) => {
  const topology = new Topology(entry(1));
  t.deepEqual(
    topology.takeFresh().map(({ from }) => from),
    [undefined],
  );
  topology.merge(delta(entry(2)), 0, 'neighbour');
  t.deepEqual(topology.takeFresh(), []);
  topology.onReachable([peerName(1), peerName(2)], 100);
  const [fresh, ...none] = topology.takeFresh();
  t.is(fresh?.from, 'neighbour');
  t.deepEqual(fresh!.names, [peerName(2)]);
  t.deepEqual(none, []);
  t.deepEqual(topology.takeFresh(), []);
});

test('an entry that becomes reachable again is passed on again: others may have collected it', (t) => {
  const topology = new Topology(entry(1));
  topology.merge(delta(entry(2)), 0, 'neighbour');
  topology.onReachable([peerName(1), peerName(2)], 0);
  topology.takeFresh();
  topology.onReachable([peerName(1)], 1_000);
  topology.onReachable([peerName(1), peerName(2)], 29_000);
  t.deepEqual(
    topology.takeFresh().flatMap(({ names }) => names),
    [peerName(2)],
  );
});

test('hearing of ourselves with a higher stamp moves past it', (t) => {
  const self = entry(1, { version: 5 });
  const topology = new Topology(self);
  topology.merge(delta(entry(1, { version: 9 })), 0, 'x');
  t.is(topology.entry(self.name)!.version, 10);
  topology.merge(delta(entry(1, { incarnation: 4, version: 2, uid: 'ffffffffffffffff' })), 0, 'x');
  const { incarnation, version, uid } = topology.entry(self.name)!;
  t.deepEqual([incarnation, version, uid], [5, 1, self.uid], 'past all of another process');
  topology.merge(delta(entry(1, { incarnation: 4, version: 2, uid: 'ffffffffffffffff' })), 1, 'x');
  t.is(topology.entry(self.name)!.version, 1, 'an older one changes nothing');
});

test('a foreign process that overtakes us twice within a minute is reported and not answered', (t) => {
  const topology = new Topology(entry(1));
  const foreign = (incarnation: number): Uint8Array =>
    delta(entry(1, { incarnation, uid: 'ffffffffffffffff' }));
  const own = () => topology.entry(peerName(1))!.incarnation;
  topology.merge(foreign(5), 0, 'x');
  t.is(own(), 6);
  t.false(topology.takeNews().duplicate);
  topology.merge(foreign(7), 30_000, 'x');
  t.is(own(), 6);
  t.true(topology.takeNews().duplicate);
  topology.merge(foreign(7), 61_000, 'x');
  t.is(own(), 8, 'after a minute it counts as the first again');
});

test('entries of a former process that arrive in any order are no live duplicate', (t) => {
  const topology = new Topology(entry(1));
  for (const version of [3, 9, 4, 12]) {
    topology.merge(delta(entry(1, { incarnation: 5, version, uid: 'ffffffffffffffff' })), 0, 'x');
    t.false(topology.takeNews().duplicate);
  }
  t.is(topology.entry(peerName(1))!.incarnation, 6);
});

test('a forged stamp at the end of its range cannot make ours overflow', (t) => {
  const topology = new Topology(entry(1));
  topology.merge(delta(entry(1, { version: 2 ** 40 })), 0, 'x');
  t.deepEqual([topology.entry(peerName(1))!.incarnation, topology.entry(peerName(1))!.version], [2, 1]);
  topology.merge(delta(entry(1, { incarnation: 2 ** 40, version: 2 ** 40 })), 0, 'x');
  t.is(topology.entry(peerName(1))!.incarnation, 2);
  t.true(topology.takeNews().duplicate);
});

test('joined news hold the newest of each reachable name, once', (t) => {
  const topology = new Topology(entry(1));
  topology.merge(delta(entry(2, { version: 3 }), entry(3)), 0, 'x');
  topology.onReachable([1, 2].map(peerName), 0);
  const news = topology.join([[peerName(2)], [peerName(2), peerName(3)]]);
  t.deepEqual(news, [peerName(2), peerName(3)]);
  const joined = decodeDelta(topology.encode(news)!);
  t.deepEqual(
    joined.map(({ name, version }) => [name, version]),
    [[peerName(2), 3]],
  );
});

test('entries come in order of name, also after some were collected and others came', (t) => {
  const topology = new Topology(entry(5));
  const names = () => Array.from(topology.entries(), ({ entry: { name } }) => name);
  topology.merge(delta(entry(9), entry(2), entry(7)), 0, 'x');
  t.deepEqual(names(), [2, 5, 7, 9].map(peerName));
  topology.onTimeout(COLLECT_AFTER);
  topology.merge(delta(entry(3), entry(1)), COLLECT_AFTER, 'x');
  topology.merge(delta(entry(3, { version: 2 })), COLLECT_AFTER, 'x');
  t.deepEqual(names(), [1, 3, 5].map(peerName));
});

test('news that have become void while they waited are not encoded', (t) => {
  const topology = new Topology(entry(1));
  topology.merge(delta(entry(2)), 0, 'x');
  topology.onReachable([1, 2].map(peerName), 0);
  const [{ names } = { names: [] }] = topology.takeFresh().filter(({ from }) => from === 'x');
  t.deepEqual(names, [peerName(2)]);
  topology.onReachable([peerName(1)], 0);
  t.is(topology.encode(names), undefined);
});

test('entries that name more peers than the table of a delta holds are sent in several', (t) => {
  const topology = new Topology(entry(1));
  const peers = Array.from({ length: 18 }, (_, i) => i + 2);
  for (const index of peers) {
    const neighbours = Array.from({ length: MAX_NEIGHBOURS }, (_, i) => {
      const [high, low] = [i >> 8, i & 255].map((byte) => byte.toString(16).padStart(2, '0'));
      const name = `02:${index.toString(16).padStart(2, '0')}:00:00:${high}:${low}` as PeerName;
      return { name, established: true, direct: false };
    });
    topology.merge(delta(entry(index, { neighbours })), 0, 'x');
  }
  topology.onReachable([1, ...peers].map(peerName), 0);
  const all = [1, ...peers].map((index) => ({ name: peerName(index), bodyHash: undefined }));
  const deltas = topology.answer(encodeRequest(all));
  t.is(deltas.length, 2);
  t.is(deltas.flatMap((each) => decodeDelta(each)).length, peers.length + 1);
});

test('a neighbour lacks what it has not sent itself in the version that is known here', (t) => {
  const topology = new Topology(entry(1));
  const [one, two, three] = [1, 2, 3].map(peerName) as [PeerName, PeerName, PeerName];
  topology.merge(delta(entry(2, { version: 2 }), entry(3)), 0, 'x');
  topology.merge(delta(entry(2, { version: 2 }), entry(3, { version: 2 })), 0, 'y');
  topology.merge(delta(entry(2)), 0, 'z');
  const all = [one, two, three];
  t.deepEqual(topology.lackedBy('x', all), [one, three], 'there is a later one of the third');
  t.deepEqual(topology.lackedBy('y', all), [one]);
  t.is(topology.lackedBy('z', all), all, 'what it sent was older');
  t.is(topology.lackedBy('w', all), all);
  topology.passedOn('y');
  t.is(topology.lackedBy('y', all), all);
  t.deepEqual(topology.lackedBy('x', all), [one, three]);
});

test('our own entry gets a new version only when something differs', (t) => {
  const topology = new Topology(entry(1));
  t.false(topology.updateSelf({ bridgeMtu: 1_388, neighbours: [] }));
  t.is(topology.entry(peerName(1))!.version, 1);
  t.true(topology.updateSelf({ neighbours: linked(2) }));
  t.true(topology.updateSelf({ neighbours: linked(2).map((one) => ({ ...one, direct: false })) }));
  t.is(topology.entry(peerName(1))!.version, 3);
});

test('an announcement that others would refuse is refused here and changes nothing', (t) => {
  const topology = new Topology(entry(1));
  for (const change of [
    { info: { key: 'x'.repeat(257) } },
    { capabilities: Array.from({ length: 17 }, String) },
    { bridgeMtu: -1 },
  ]) {
    t.throws(() => topology.updateSelf(change), { instanceOf: MalformedDelta });
  }
  t.deepEqual(topology.entry(peerName(1)), entry(1));
});

const names = new Uint8Array(6);
const uid = new Uint8Array(8);
const body = encodeBody(entry(1));
const bad: [string, unknown][] = [
  ['a name table that is no multiple of six bytes', [new Uint8Array(5), []]],
  [
    'a name index beyond the table',
    [names, [[1, 1, 1, uid, body, names.subarray(0, 0), names.subarray(0, 0)]]],
  ],
  ['a short uid', [names, [[0, 1, 1, uid.subarray(1), body, names.subarray(0, 0), names.subarray(0, 0)]]]],
  ['a negative version', [names, [[0, 1, -1, uid, body, names.subarray(0, 0), names.subarray(0, 0)]]]],
  ['a fractional incarnation', [names, [[0, 1.5, 1, uid, body, names.subarray(0, 0), names.subarray(0, 0)]]]],
  [
    'flags that do not match the neighbours',
    [names, [[0, 1, 1, uid, body, new Uint8Array(1), new Uint8Array(2)]]],
  ],
  ['a neighbour listed twice', [names, [[0, 1, 1, uid, body, new Uint8Array(2), new Uint8Array(1)]]]],
  ['a body that is text', [names, [[0, 1, 1, uid, 'body', names.subarray(0, 0), names.subarray(0, 0)]]]],
  [
    'a body of another shape',
    [names, [[0, 1, 1, uid, pack([1]), names.subarray(0, 0), names.subarray(0, 0)]]],
  ],
];

/** {1: 2}, which is outside the closed set. */
const map = Uint8Array.of(0x81, 0x01, 0x02);

for (const [title, bytes] of [
  ...bad.map(([name, value]) => [name, pack(value)] as const),
  ['a map', map] as const,
]) {
  test(`${title} is refused as a whole`, (t) => {
    const topology = new Topology(entry(9));
    t.throws(() => topology.merge(bytes, 0, 'x'), { instanceOf: MalformedDelta });
    t.is(contents(topology).length, 1);
  });
}

test('names and keys that were merged do not alias the message they came in', (t) => {
  const bytes = delta(entry(2));
  const topology = new Topology(entry(1));
  topology.merge(bytes, 0, 'x');
  bytes.fill(0);
  t.deepEqual(topology.entry(peerName(2)), entry(2));
});

test('an entry forged under our name with the last version of an incarnation moves us to the next incarnation', (t) => {
  const topology = new Topology(entry(1));
  topology.merge(delta(entry(1, { version: MAX_VERSION - 1 })), 0, 'x');
  t.is(topology.entry(peerName(1))?.version, MAX_VERSION);
  t.true(topology.updateSelf({ nickname: 'renamed' }));
  const { incarnation, version, nickname } = topology.entry(peerName(1))!;
  t.deepEqual({ incarnation, version, nickname }, { incarnation: 2, version: 1, nickname: 'renamed' });
  t.true(topology.updateSelf({ neighbours: linked(2) }));
});

test('an entry forged under our name with the last stamp of all is reported, and no change of ours throws', (t) => {
  const topology = new Topology(entry(1));
  const last = { incarnation: MAX_INCARNATION, version: MAX_VERSION - 1 };
  topology.merge(delta(entry(1, last)), 0, 'x');
  topology.takeNews();
  t.false(topology.updateSelf({ nickname: 'renamed' }));
  t.false(topology.updateSelf({ neighbours: linked(2) }));
  t.true(topology.takeNews().duplicate);
  t.notThrows(() =>
    decodeDelta(topology.encode(topology.entriesOf(0xffff)!)!).forEach((row) => row.decode()),
  );
});

test('of a million neighbours in all a peer may still list 128', (t) => {
  const topology = new Topology(entry(1));
  const many = linked(...Array.from({ length: MAX_NEIGHBOURS }, (_, i) => i + 1));
  const merge = (index: number, version: number, neighbours: readonly Neighbour[]): boolean => {
    topology.merge(delta(entry(index, { version, neighbours })), 0, 'b');
    return topology.entry(peerName(index))?.version === version;
  };
  for (let i = 0; i < 256; i++) t.true(merge(5_000 + i, 1, many));
  t.false(merge(6_000, 1, many.slice(0, 129)));
  t.true(merge(6_000, 1, many.slice(0, 128)));
  t.true(merge(5_001, 2, many.slice(0, 4_095)), 'though there are still too many');
  t.true(merge(5_000, 2, many.slice(0, 3_000)), 'fewer than it had');
  t.true(merge(6_000, 2, many.slice(0, 129)));
  t.false(merge(5_000, 3, many));
  topology.onReachable([peerName(1)], 0);
  topology.onTimeout(COLLECT_AFTER);
  t.is(topology.size, 1);
  t.true(merge(5_000, 3, many), 'who was forgotten does not count');
});
