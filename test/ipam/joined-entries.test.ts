import test from 'ava';
import fc from 'fast-check';
import { parseCidr } from '../../core/address.ts';
import type { Entry } from '../../ipam/entries.ts';
import { joinEntries } from '../../ipam/joined-entries.ts';
import { AddressRange } from '../../ipam/range.ts';
import { seedRing } from '../../ipam/seed.ts';
import { SharedState } from '../../ipam/shared-state.ts';
import { peer } from './network.ts';

const range = new AddressRange(parseCidr('10.32.0.0/24')!);
const generation = '00000000000000aa';

/** Of few keys, so that they meet. */
const anyEntry: fc.Arbitrary<Entry> = fc
  .record({ kind: fc.nat(3), who: fc.integer({ min: 1, max: 3 }), version: fc.integer({ min: 1, max: 4 }) })
  .map(({ kind, who, version }): Entry => {
    const name = peer(who);
    const clusterId = `${who % 2}`.repeat(32);
    switch (kind) {
      case 0: {
        const { ring } = seedRing(range, [peer(1), peer(2), peer(3)]);
        return { type: 'ring', clusterId, range, ring: [{ ...ring[who - 1]!, version }] };
      }
      case 1:
        return { type: 'hint', name, version, free: version };
      case 2: {
        const vote = { range: range.text, name, generation, version, voters: version, wanted: false };
        return { type: 'voter', ...vote, promised: undefined, accepted: undefined };
      }
      default: {
        const said = { name, generation, life: 1, run: '11'.repeat(8), version };
        return { type: 'member', ...said, nickname: '', clusterId, conflicts: [] };
      }
    }
  });

function stateOf(...news: readonly (readonly Entry[])[]) {
  const state = new SharedState();
  for (const entries of news) state.merge(entries);
  return { digest: state.digest(), entries: state.entriesOf(0xffff) };
}

test('news that are joined have the effect of all of them, and each key but once', (t) => {
  fc.assert(
    fc.property(fc.array(fc.array(anyEntry, { maxLength: 4 }), { maxLength: 5 }), (news) => {
      const joined = joinEntries(news);
      t.deepEqual(stateOf(joined), stateOf(...news));
      const keys = joined.map((entry) => [entry.type, 'name' in entry ? entry.name : entry.clusterId].join());
      t.is(new Set(keys).size, keys.length);
    }),
    { numRuns: 300 },
  );
});
