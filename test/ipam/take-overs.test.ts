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

interface Situation {
  readonly queue: CommitQueue<Deferred>;
  readonly takeOvers: TakeOvers;
}

/** What is queued is durable. */
function commit({ queue, takeOvers }: Situation, now = 0): void {
  queue.committed(queue.begin(now)!.token);
  takeOvers.onCommitted();
}

function setUp() {
  const situation = begun();
  commit(situation);
  return situation;
}

/** A take-over that is not recorded yet. */
function begun(others = [second, third], options = { now: false, strict: false }) {
  const queue = new CommitQueue<Deferred>();
  const holdings = new Holdings(range, self, [], queue);
  holdings.enter('01'.repeat(16));
  holdings.merge(initialRing(range.size, owners));
  const { peers, walks } = counted(
    others.map(({ owner, generation }) => {
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
  takeOvers.remove(dead.owner, '', options, 0);
  return { holdings, queue, takeOvers, sent, peers, walks };
}

test('a take-over is told to nobody before it is recorded', (t) => {
  const situation = begun();
  const { takeOvers, sent } = situation;
  takeOvers.step(0);
  takeOvers.step(5_000);
  t.is(takeOvers.nextTimeout(), undefined);
  t.deepEqual(sent, []);
  commit(situation, 5_000);
  takeOvers.step(5_000);
  t.is(sent.length, 1);
});

test('a peer that seems to be of another cluster is waited for until it says so itself', (t) => {
  const situation = begun([second], { now: true, strict: false });
  const { takeOvers, sent, peers } = situation;
  commit(situation);
  peers[0] = { ...peers[0]!, generation: '00000000000000ff', clusterId: '02'.repeat(16) };
  takeOvers.step(0);
  takeOvers.step(100_000);
  t.deepEqual(takeOvers.spans, [{ start: 48, end: 64 }]);
  t.deepEqual(sent.at(-1)!.to, [second.owner]);
  takeOvers.onTaken(second.owner, sent[0]!.message.id);
  takeOvers.step(100_001);
  t.deepEqual(takeOvers.spans, []);
});

test('a take-over that cannot be recorded begins anew, with those that are in reach by then', (t) => {
  const situation = begun([], { now: true, strict: false });
  const { queue, takeOvers, sent, peers } = situation;
  queue.failed(queue.begin(0)!.token, 10);
  takeOvers.onCommitFailed(10);
  takeOvers.step(900_000);
  t.deepEqual(takeOvers.spans, [{ start: 48, end: 64 }]);
  const { owner: name, generation } = second;
  peers.push({ name, nickname: '', generation, reachable: true, capabilities: [] });
  queue.failed(queue.begin(900_000)!.token, 900_010);
  takeOvers.onCommitFailed(900_010);
  commit(situation, 902_000);
  takeOvers.step(902_000);
  t.deepEqual(sent[0]!.to, [name]);
  t.deepEqual(takeOvers.spans, [{ start: 48, end: 64 }]);
  takeOvers.onTaken(name, sent[0]!.message.id);
  takeOvers.step(902_001);
  t.deepEqual(takeOvers.spans, []);
});

test('the rest after a take-over that could not be recorded at first is counted from the last try', (t) => {
  const situation = begun([]);
  const { queue, takeOvers } = situation;
  queue.failed(queue.begin(0)!.token, 500_000);
  takeOvers.onCommitFailed(500_000);
  commit(situation, 501_000);
  takeOvers.step(501_000);
  t.is(takeOvers.nextTimeout(), 1_100_000);
  takeOvers.step(1_099_999);
  t.is(takeOvers.spans.length, 1);
  takeOvers.step(1_100_000);
  t.is(takeOvers.spans.length, 0);
});

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
