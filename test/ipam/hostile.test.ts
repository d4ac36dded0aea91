import test from 'ava';
import type { IpamPeer } from '../../ipam/effects.ts';
import type { Ring } from '../../ipam/ring.ts';
import { MAX_SEGMENTS } from '../../ipam/ring.ts';
import { LoneIpam } from './lone-ipam.ts';
import { peer } from './network.ts';

const [A, B] = [peer(1), peer(2)];
const GENERATION = '00000000000000aa';
const OTHER = '00000000000000bb';

function alone(range: string): LoneIpam {
  return new LoneIpam(A, GENERATION, [A, B], range);
}

function known(name: typeof A, clusterId: string): IpamPeer {
  return { name, nickname: '', generation: OTHER, reachable: true, capabilities: [], clusterId };
}

test('a peer that says that it uses 2^52 addresses holds nobody up, and what lies beyond the range is dropped', (t) => {
  const node = alone('10.32.0.0/24');
  const { clusterId } = node.ipam.status();
  const conflicts = [{ start: 100, end: 2 ** 52 }];
  const member = { type: 'member', name: B, generation: OTHER, life: 1, run: OTHER, version: 1 } as const;
  node.topology([known(B, clusterId)]);
  node.merge([{ ...member, nickname: 'b', clusterId, conflicts }]);
  const { conflicts: listed } = node.ipam.status();
  t.deepEqual([listed.length, listed[0]?.address, listed[0]?.user], [28, '10.32.0.100', B]);
  const [passedOn] = node.ipam
    .entriesOf(0xffff)!
    .filter((entry) => entry.type === 'member' && entry.name === B);
  t.deepEqual(passedOn?.type === 'member' ? passedOn.conflicts : [], [{ start: 100, end: 256 }]);
});

/** Every other address of the range has another version: as many pieces as may come in one delta. */
function shreds(range: number): Ring {
  const owner = { owner: B, generation: OTHER };
  return Array.from({ length: MAX_SEGMENTS }, (_, i) => {
    return { start: range / 2 + 2 * i, end: range / 2 + 2 * i + 1, epoch: 1, version: 1, ...owner };
  });
}

test('a ring in too many pieces is reported once, and nobody is told that it is held', (t) => {
  const node = alone('10.32.0.0/14');
  const { clusterId } = node.ipam.status();
  const { range } = node.settings;
  const ring = { type: 'ring', clusterId, range, ring: shreds(range.size) } as const;
  node.topology([known(B, clusterId)]);
  node.tell(B, { type: 'take-over', id: OTHER, ring });
  node.tell(B, { type: 'bequest', id: OTHER, ring });
  t.deepEqual([node.last('taken'), node.last('inherited')], [undefined, undefined]);
  t.is(node.logs.filter((line) => line.includes('more pieces than it may have')).length, 1);
  const part = { ...ring, ring: ring.ring.slice(0, 10) };
  node.tell(B, { type: 'take-over', id: OTHER, ring: part });
  node.tell(B, { type: 'bequest', id: OTHER, ring: part });
  t.deepEqual([node.last('taken')?.id, node.last('inherited')?.id], [OTHER, OTHER]);
});
