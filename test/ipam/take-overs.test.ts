import test from 'ava';
import { parseCidr } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { SeededRandom } from '../../core/random.ts';
import { CommitQueue } from '../../ipam/commit-queue.ts';
import type { Deferred, IpamPeer } from '../../ipam/effects.ts';
import { Holdings } from '../../ipam/holdings.ts';
import type { Message } from '../../ipam/messages.ts';
import { AddressRange } from '../../ipam/range.ts';
import { initialRing } from '../../ipam/ring.ts';
import { TakeOvers } from '../../ipam/take-overs.ts';
import { peer } from './network.ts';

const range = new AddressRange(parseCidr('10.32.0.0/26')!);
const owners = [1, 2, 3, 4].map((n) => ({ owner: peer(n), generation: `000000000000000${n}` }));
const [self, second, third, dead] = owners as [Owner, Owner, Owner, Owner];
type Owner = (typeof owners)[number];

/** Counts how often somebody goes through the peers. */
function counted(peers: IpamPeer[]): { peers: IpamPeer[]; walks: () => number } {
  let walks = 0;
  const map = peers.map.bind(peers);
  peers.map = ((...args: Parameters<typeof map>) => {
    walks++;
    return map(...args);
  }) as typeof peers.map;
  return { peers, walks: () => walks };
}

function setUp() {
  const queue = new CommitQueue<Deferred>();
  const holdings = new Holdings(range, self, [], queue);
  holdings.enter('01'.repeat(16));
  holdings.merge(initialRing(range.size, owners));
  const { peers, walks } = counted(
    [second, third].map(({ owner, generation }) => {
      return { name: owner, nickname: '', generation, reachable: true, capabilities: [] };
    }),
  );
  const sent: { readonly to: readonly PeerName[]; readonly message: Message }[] = [];
  const takeOvers = new TakeOvers(
    {
      holdings,
      queue,
      random: new SeededRandom(1),
      peers: () => peers,
      send: () => undefined,
      sendDurable: (to, message) => void sent.push({ to: [to], message }),
      quarantine: () => [],
      sendAllDurable: (to, message) => void sent.push({ to, message }),
      log: () => undefined,
    },
    [],
    0,
  );
  takeOvers.remove(dead.owner, '', { now: false, strict: false }, 0);
  return { holdings, queue, takeOvers, sent, walks };
}

test('a take-over is told to all that have to acknowledge it in one go, and again to those that have not', (t) => {
  const { takeOvers, sent } = setUp();
  takeOvers.step(0);
  t.deepEqual(
    sent.map(({ to }) => to),
    [[second.owner, third.owner]],
  );
  takeOvers.onTaken(second.owner, sent[0]!.message.id);
  takeOvers.step(1);
  takeOvers.step(1_999);
  t.is(sent.length, 1);
  takeOvers.step(2_000);
  t.deepEqual(sent[1]!.to, [third.owner]);
});

test('who has acknowledged is looked at only when something happened or is due', (t) => {
  const { takeOvers, sent, walks } = setUp();
  takeOvers.step(0);
  const before = walks();
  for (let now = 1; now < 1_000; now++) takeOvers.step(now);
  t.is(walks(), before);
  for (const { owner } of [second, third]) takeOvers.onTaken(owner, sent[0]!.message.id);
  takeOvers.step(1_000);
  t.is(takeOvers.nextTimeout(), 600_000);
  t.deepEqual(takeOvers.spans, [{ start: 48, end: 64 }]);
  takeOvers.step(600_000);
  t.deepEqual(takeOvers.spans, []);
});

test("what was taken over and is another's again is in quarantine no longer", (t) => {
  const { holdings, takeOvers } = setUp();
  takeOvers.step(0);
  holdings.merge([{ start: 48, end: 64, epoch: 9, version: 1, ...second }]);
  takeOvers.step(1);
  t.deepEqual(takeOvers.spans, []);
});

test('acknowledgements that come together are packed once, with the transaction that stores them', (t) => {
  const { queue, takeOvers, sent } = setUp();
  takeOvers.step(0);
  const { message } = sent[0]!;
  const ring = message.type === 'take-over' ? message.ring : undefined;
  let packed = 0;
  const { clusterId } = ring!;
  Object.defineProperty(ring, 'clusterId', {
    get: () => {
      packed++;
      return clusterId;
    },
  });
  for (const { owner } of [second, third]) takeOvers.onTaken(owner, message.id);
  t.is(packed, 0);
  queue.begin(1);
  t.is(packed, 1);
});
