import test from 'ava';
import { parseCidr } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { Entry, HintEntry, RingEntry, VoterEntry } from '../../ipam/entries.ts';
import { joinEntries } from '../../ipam/join-entries.ts';
import { AddressRange } from '../../ipam/range.ts';
import { mergeRings, type Ring } from '../../ipam/ring.ts';

const range = new AddressRange(parseCidr('10.32.0.0/24')!);
const [one, two] = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as PeerName[];

function ring(clusterId: string, ...segments: [number, number, number][]): RingEntry {
  const parts: Ring = segments.map(([start, end, version]) => {
    return { start, end, epoch: 0, version, owner: one!, generation: '1'.repeat(16) };
  });
  return { type: 'ring', clusterId, range, ring: parts };
}

function hint(name: PeerName, version: number): HintEntry {
  return { type: 'hint', name, version, free: version };
}

function vote(generation: string, version: number): VoterEntry {
  const ballots = { promised: undefined, accepted: undefined };
  return {
    type: 'voter',
    range: range.text,
    name: one!,
    generation,
    version,
    voters: 3,
    wanted: true,
    ...ballots,
  };
}

test('of hints and votes the newest stay, in order, whatever order they came in', (t) => {
  const entries: Entry[] = [
    hint(two!, 1),
    vote('b', 4),
    hint(one!, 3),
    hint(one!, 2),
    vote('b', 3),
    vote('a', 1),
  ];
  const joined = [hint(one!, 3), hint(two!, 1), vote('a', 1), vote('b', 4)];
  t.deepEqual(joinEntries(entries), joined);
  t.deepEqual(joinEntries([...entries].reverse()), joined);
});

test('parts of one ring are merged, rings of two clusters stay apart', (t) => {
  const [first, second, other] = [ring('a', [0, 8, 1]), ring('a', [4, 16, 2]), ring('b', [0, 4, 1])];
  t.deepEqual(joinEntries([other, first, second]), [
    { ...first, ring: mergeRings(first.ring, second.ring) },
    other,
  ]);
});
