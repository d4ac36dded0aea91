import test from 'ava';
import fc from 'fast-check';
import { MalformedDelta } from '../../gossip/channel.ts';
import { bodyHash, decodeDelta, encodeBody } from '../../gossip/topology-codec.ts';
import {
  decodeAnnouncement,
  decodeRequest,
  encodeAnnouncement,
  encodeRequest,
  mayBeOf,
} from '../../gossip/topology-announcement.ts';
import { MAX_INCARNATION, MAX_VERSION, type TopologyEntry } from '../../gossip/topology-entry.ts';
import type { Gossip } from '../../gossip/gossip.ts';
import { Topology } from '../../gossip/topology.ts';
import { encodeMessage } from '../../gossip/messages.ts';
import { equalBytes } from '../../core/bytes.ts';
import { pack } from '../../core/msgpack.ts';
import { delta, entry, linked } from './entries.ts';
import { endpoint, Mesh, peerName, reached } from './mesh.ts';
import { frame } from './plain-channel.ts';
import { greeting, helloOf } from './stranger.ts';

const SIX = [2, 3, 4, 5, 6, 7];

/** Node 1 with these entries, all of them reachable. */
function knowing(...entries: TopologyEntry[]): Topology {
  const topology = new Topology(entry(1));
  if (entries.length > 0) topology.merge(delta(...entries), 0, 'origin');
  topology.onReachable([peerName(1), ...entries.map(({ name }) => name)].sort(), 0);
  return topology;
}

function namesOf(topology: Topology): ReturnType<typeof peerName>[] {
  return Array.from(topology.entries(), (each) => each.entry.name);
}

function askedFor(request: Uint8Array | undefined): string[] {
  return request === undefined ? [] : decodeRequest(request).map(({ name }) => name);
}

test('announcements and requests survive encoding', (t) => {
  const anyEntry = fc.record({
    index: fc.integer({ min: 1, max: 1_000 }),
    incarnation: fc.integer({ min: 0, max: MAX_INCARNATION }),
    version: fc.integer({ min: 0, max: MAX_VERSION }),
    uid: fc.stringMatching(/^[0-9a-f]{16}$/),
    place: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(anyEntry, { maxLength: 20 }), fc.nat(), (made, place) => {
      const entries = made
        .map(({ index, ...rest }) => entry(index, rest))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .filter(({ name }, i, all) => name !== all[i - 1]?.name);
      const read = decodeAnnouncement(encodeAnnouncement(entries, place));
      t.deepEqual(
        read.map(({ name, incarnation, version }) => ({ name, incarnation, version })),
        entries.map(({ name, incarnation, version }) => ({ name, incarnation, version })),
      );
      read.forEach((announced, i) => t.true(mayBeOf(announced, entries[i]!.uid)));
      const asked = entries.map(({ name }, i) => ({
        name,
        bodyHash: i % 2 === 0 ? undefined : Uint8Array.of(i, 1, 2, 3),
      }));
      t.deepEqual(decodeRequest(encodeRequest(asked)), asked);
    }),
  );
});

test('an announcement that is no such thing is malformed, and so is a request', (t) => {
  const bad = [
    pack([]),
    pack([new Uint8Array(5), [1], 0, new Uint8Array(0)]),
    pack([new Uint8Array(6), [1, 1], 8, new Uint8Array(1)]),
    pack([new Uint8Array(6), [1], 0, new Uint8Array(1)]),
    pack([new Uint8Array(6), [1, 2 ** 41], 0, new Uint8Array(1)]),
    pack([new Uint8Array(6), [1, 1, 1], 0, new Uint8Array(1)]),
    pack([new Uint8Array(6), [1, 1], 0, new Uint8Array(2)]),
    pack([new Uint8Array(12), [1, 1, 1, 2], 0, new Uint8Array(2)]),
  ];
  for (const bytes of bad) t.throws(() => decodeAnnouncement(bytes), { instanceOf: MalformedDelta });
  t.throws(() => decodeRequest(new Uint8Array(9)), { instanceOf: MalformedDelta });
});

test('up to four entries are sent, more are announced, and only reachable ones', (t) => {
  const topology = knowing(...SIX.map((index) => entry(index)));
  const names = namesOf(topology);
  t.is(topology.announcement(names.slice(0, 4)), undefined);
  const announcement = topology.announcement(names)!;
  t.deepEqual(
    decodeAnnouncement(announcement).map(({ name }) => name),
    names,
  );
  topology.onReachable(names.slice(0, 5), 0);
  t.is(decodeAnnouncement(topology.announcement(names)!).length, 5);
  topology.onReachable(names.slice(0, 4), 0);
  t.is(topology.announcement(names), undefined);
});

test('what is announced takes a fraction of what it stands for', (t) => {
  const peers = Array.from({ length: 100 }, (_, i) =>
    entry(i + 2, { neighbours: linked(1, 2, 3, 4, 5, 6, 7, 8) }),
  );
  const topology = knowing(...peers);
  const [whole] = topology.answer(
    encodeRequest(namesOf(topology).map((name) => ({ name, bodyHash: undefined }))),
  );
  t.true(topology.announcement(namesOf(topology))!.length < whole!.length / 8);
});

test('who hears an announcement asks for what is newer than what it has, and for nothing twice', (t) => {
  const full = knowing(...SIX.map((index) => entry(index, { version: 3 })));
  const announcement = full.announcement(namesOf(full))!;
  const own = entry(1);
  const other = new Topology({ ...own, version: 1 });
  other.merge(delta(entry(2, { version: 3 }), entry(3, { version: 4 }), entry(4, { version: 2 })), 0, 'x');
  const wanted = [4, 5, 6, 7].map(peerName);
  t.deepEqual(askedFor(other.lacked(announcement, 0, 'a')), wanted);
  t.deepEqual(askedFor(other.lacked(announcement, 0, 'b')), []);
  other.lost('a');
  t.deepEqual(
    [...other.overdue(0)].map(([to, request]) => [to, askedFor(request)]),
    [['b', wanted]],
  );
});

test('another process under a name with the same stamp is told apart, at the latest by the eighth announcement', (t) => {
  const [mine, theirs] = ['00000000000000a1', '00000000000000b1'];
  const full = knowing(...SIX.map((index) => entry(index, index === 4 ? { uid: theirs } : {})));
  const other = knowing(...SIX.map((index) => entry(index, index === 4 ? { uid: mine } : {})));
  const found = Array.from({ length: 8 }, () => other.lacked(full.announcement(namesOf(full))!, 0, 'a'));
  const asked = found.filter((request) => request !== undefined);
  t.deepEqual(asked.map(askedFor), [[peerName(4)]]);
  for (const answer of full.answer(asked[0]!)) other.merge(answer, 0, 'a');
  t.is(other.entry(peerName(4))!.uid, theirs);
});

test('an answer carries the body only if the asking peer does not know it', (t) => {
  const changed = { version: 2, neighbours: linked(1, 9) };
  const full = knowing(
    ...SIX.map((index) => entry(index, { ...changed, nickname: index === 3 ? 'new' : `host${index}` })),
  );
  const other = knowing(...SIX.slice(0, 3).map((index) => entry(index)));
  const request = other.lacked(full.announcement(namesOf(full))!, 0, 'a')!;
  const answers = full.answer(request);
  const hasBody = (row: { decode(): unknown }) => row.decode() !== undefined;
  const rows = answers.flatMap((answer) => decodeDelta(answer));
  t.deepEqual(
    rows.filter(hasBody).map(({ name }) => name),
    [3, 5, 6, 7].map(peerName),
  );
  for (const answer of answers) other.merge(answer, 0, 'a');
  for (const index of SIX) t.deepEqual(other.entry(peerName(index)), full.entry(peerName(index)));
});

test('the hash of a body that is not known stands for nothing', (t) => {
  const later = entry(2, { version: 2, nickname: 'later' });
  const full = knowing(later);
  const hash = bodyHash(encodeBody(later));
  const [answer] = full.answer(encodeRequest([{ name: peerName(2), bodyHash: hash }]));
  const [stranger, old] = [knowing(), knowing(entry(2))];
  for (const topology of [stranger, old]) topology.merge(answer!, 0, 'a');
  t.is(stranger.entry(peerName(2)), undefined);
  t.is(old.entry(peerName(2))!.version, 1);
  const announcing = knowing(...SIX.map((index) => entry(index, { version: 2, nickname: 'later' })));
  const asked = askedFor(old.lacked(announcing.announcement(namesOf(announcing))!, 0, 'a'));
  t.true(asked.includes(peerName(2)), 'it is asked for again');
});

test('what came is not told to those who announced it themselves', (t) => {
  const peers = SIX.map((index) => entry(index));
  const full = knowing(...peers);
  const announcement = full.announcement(namesOf(full))!;
  const other = knowing();
  const request = other.lacked(announcement, 0, 'a')!;
  other.lacked(announcement, 0, 'b');
  for (const answer of full.answer(request)) other.merge(answer, 0, 'a');
  const names = SIX.map(peerName);
  t.deepEqual(other.lackedBy('a', names), []);
  t.deepEqual(other.lackedBy('b', names), []);
  t.deepEqual(other.lackedBy('c', names), names);
  other.lacked(announcement, 0, 'c');
  t.deepEqual(other.lackedBy('c', names), [], 'nor to who announces what is known here');
});

test('what is out of reach is not told to who asks for it', (t) => {
  const topology = knowing(entry(2), entry(3));
  topology.onReachable([peerName(1), peerName(3)], 0);
  const asked = [2, 3].map((index) => ({ name: peerName(index), bodyHash: undefined }));
  const [answer] = topology.answer(encodeRequest(asked));
  t.deepEqual(
    decodeDelta(answer!).map(({ name }) => name),
    [peerName(3)],
  );
});

test('an entry that turns out to be known, or ours, is not asked for again', (t) => {
  const topology = knowing(entry(2, { uid: 'ffffffffffffffff' }));
  const announcement = encodeAnnouncement([entry(1, { version: 5 }), entry(2)], 7);
  t.is(askedFor(topology.lacked(announcement, 0, 'a')).length, 2);
  topology.lacked(announcement, 0, 'b');
  topology.merge(delta(entry(1, { version: 5 }), entry(2)), 0, 'a');
  t.deepEqual([...topology.overdue(10_000)], []);
});

test('a request for nothing that is known is not answered', (t) => {
  const topology = knowing(entry(2));
  t.deepEqual(topology.answer(encodeRequest([{ name: peerName(9), bodyHash: undefined }])), []);
  const twice = { name: peerName(2), bodyHash: undefined };
  const [answer] = topology.answer(encodeRequest([twice, twice]));
  t.is(decodeDelta(answer!).length, 1);
});

test('where the neighbour that was asked says nothing, or ends, the next one is asked', (t) => {
  const { gossip } = new Mesh(1).add(1);
  const conns = [101, 103, 105];
  conns.forEach((conn, i) => {
    gossip.onAccepted(conn, endpoint('198.51.100.7', 5_000 + i), 0);
    gossip.onBytes(conn, greeting, 0);
    gossip.onBytes(conn, frame(encodeMessage(helloOf(60 + i))), 0);
  });
  const announcement = encodeAnnouncement([entry(2)], 0);
  const have = frame(encodeMessage({ type: 'have', channel: 'topology', announcement }));
  for (const conn of conns) gossip.onBytes(conn, have, 0);
  t.deepEqual(asksWritten(gossip, 0), [101]);
  t.deepEqual(asksWritten(gossip, 1_999), []);
  t.deepEqual(asksWritten(gossip, 2_000), [103]);
  gossip.onClosed(103, undefined, 2_010);
  t.deepEqual(asksWritten(gossip, 2_010), [105]);
});

test('two groups whose only pair that may meet dials each other at once see one another at once', (t) => {
  for (let seed = 1; seed <= 50; seed++) {
    const mesh = new Mesh(seed);
    const groups = [1, 2].map((first) =>
      Array.from({ length: 7 }, (_, i) => mesh.add(first + 2 * i, { discovery: false })),
    );
    const [near, far] = groups.map(([first]) => first!);
    for (const group of groups) for (const node of group.slice(1)) mesh.connect(node, group[0]!.ip);
    mesh.run(5_000);
    mesh.connect(near!, far!.ip);
    mesh.run(seed % 25);
    mesh.connect(far!, near!.ip);
    mesh.run(1_500);
    t.deepEqual(new Set(mesh.nodes.map((node) => reached(node).length)), new Set([14]), `seed ${seed}`);
  }
});

/** Lets time pass until `now`; over which connections something was asked for meanwhile. */
function asksWritten(gossip: Gossip, now: number): number[] {
  const request = encodeRequest([{ name: peerName(2), bodyHash: undefined }]);
  const ask = frame(encodeMessage({ type: 'ask', channel: 'topology', request }));
  for (let due = gossip.nextTimeout(); due !== undefined && due <= now; due = gossip.nextTimeout()) {
    gossip.onTimeout(Math.max(due, 0));
  }
  return gossip
    .drain()
    .flatMap((effect) => (effect.type === 'write' && equalBytes(effect.bytes, ask) ? [effect.conn] : []));
}
