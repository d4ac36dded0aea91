import test from 'ava';
import { parseCidr } from '../../core/address.ts';
import { SeededRandom } from '../../core/random.ts';
import { CommitQueue } from '../../ipam/commit-queue.ts';
import { Departure } from '../../ipam/departure.ts';
import type { Deferred, IpamPeer } from '../../ipam/effects.ts';
import { Holdings } from '../../ipam/holdings.ts';
import type { Message } from '../../ipam/messages.ts';
import { AddressRange } from '../../ipam/range.ts';
import { initialRing } from '../../ipam/ring.ts';
import { LoneIpam } from './lone-ipam.ts';
import { peer } from './network.ts';

const [A, B, C, D] = [peer(1), peer(2), peer(3), peer(4)];
const GENERATION = '00000000000000aa';
const OTHER = '00000000000000bb';
const LOW = '00'.repeat(15) + '01';
const LOWEST = '00'.repeat(16);

function known(name: typeof A, clusterId: string): IpamPeer {
  return { name, nickname: '', generation: OTHER, reachable: true, capabilities: [], clusterId };
}

/** Waits until B is asked whether it would be the heir, which it says yes to. */
function inherit(node: LoneIpam): void {
  node.sent.length = 0;
  for (let i = 0; i < 200 && node.last('heir-request') === undefined; i++) node.run(100);
  node.tell(B, { type: 'heir-answer', id: node.last('heir-request')!.id, willing: true });
  node.run(100);
}

/** A node that has handed everything to B in order to join C's cluster, up to the last acknowledgement. */
function leaving(): { node: LoneIpam; own: string; acknowledge: () => void } {
  const node = new LoneIpam(A, GENERATION, [A, B], '10.32.0.0/24');
  const { range } = node.settings;
  const { clusterId: own } = node.ipam.status();
  node.request(1, { type: 'claim', id: 'outside', cidr: parseCidr('192.0.2.9/24')! });
  node.topology([known(B, own), known(C, LOW)]);
  const theirs = initialRing(range.size, [{ owner: C, generation: OTHER }]);
  node.merge([{ type: 'ring', clusterId: LOW, range, ring: theirs }]);
  inherit(node);
  const { id } = node.last('bequest')!;
  return { node, own, acknowledge: () => node.tell(B, { type: 'inherited', id }) };
}

test('whoever changes sides keeps what it uses outside the range', (t) => {
  const { node, acknowledge } = leaving();
  acknowledge();
  t.is(node.ipam.status().clusterId, LOW);
  const held = node.request(2, { type: 'lookup', id: 'outside' });
  t.is(held?.type === 'addresses' ? held.addresses.length : 0, 1);
});

test('a cluster whose ring is not all known is not changed to, although it came up last and has the lowest id', (t) => {
  const { node, own, acknowledge } = leaving();
  const { range } = node.settings;
  const theirs = initialRing(range.size, [{ owner: D, generation: OTHER }]);
  node.topology([known(B, own), known(C, LOW), known(D, LOWEST)]);
  node.merge([{ type: 'ring', clusterId: LOWEST, range, ring: [{ ...theirs[0]!, end: 100 }] }]);
  acknowledge();
  t.is(node.ipam.status().clusterId, own);
  node.merge([{ type: 'ring', clusterId: LOWEST, range, ring: theirs }]);
  inherit(node);
  t.is(node.ipam.status().clusterId, LOWEST);
});

test('whoever has an address of the range in use does not hand its space on in order to change sides', (t) => {
  const range = new AddressRange(parseCidr('10.32.0.0/28')!);
  const self = { owner: A, generation: GENERATION };
  const queue = new CommitQueue<Deferred>();
  const holdings = new Holdings(range, self, [], queue);
  holdings.enter(LOW);
  holdings.merge(initialRing(range.size, [self, { owner: B, generation: OTHER }]));
  holdings.take('x', range.network, 0);
  const sent: Message[] = [];
  const departure = new Departure({
    holdings,
    queue,
    random: new SeededRandom(1),
    peers: () => [known(B, LOW)],
    send: (_, message) => void sent.push(message),
    sendDurable: () => t.fail(),
    quarantine: () => [],
    sendAllDurable: () => t.fail(),
    log: () => undefined,
  });
  departure.step(0);
  departure.onHeirAnswer(B, { type: 'heir-answer', id: sent[0]!.id, willing: true }, 1);
  t.is(departure.step(1)?.type, 'cancelled');
  t.deepEqual([holdings.allocations.active, holdings.ownSpans.length], [1, 1]);
});
