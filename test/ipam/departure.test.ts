import test from 'ava';
import { parseCidr } from '../../core/address.ts';
import { SeededRandom } from '../../core/random.ts';
import { CommitQueue } from '../../ipam/commit-queue.ts';
import { Departure } from '../../ipam/departure.ts';
import type { Deferred } from '../../ipam/effects.ts';
import { Holdings } from '../../ipam/holdings.ts';
import type { Message } from '../../ipam/messages.ts';
import type { IpamPorts } from '../../ipam/ports.ts';
import { AddressRange } from '../../ipam/range.ts';
import { initialRing } from '../../ipam/ring.ts';
import { peer } from './network.ts';

const self = { owner: peer(1), generation: '00000000000000aa' };
const clusterId = '01'.repeat(16);
const range = new AddressRange(parseCidr('10.32.0.0/27')!);

function leaver(): { holdings: Holdings; ports: IpamPorts; sent: Message[] } {
  const queue = new CommitQueue<Deferred>();
  const holdings = new Holdings(range, self, [], queue);
  holdings.enter(clusterId);
  holdings.merge(initialRing(range.size, [self]));
  const sent: Message[] = [];
  const heir = { name: peer(2), nickname: 'two', generation: '00000000000000bb', reachable: true };
  const ports = {
    holdings,
    queue,
    random: new SeededRandom(1),
    peers: () => [{ ...heir, capabilities: [], clusterId }],
    send: (_to: unknown, message: Message) => void sent.push(message),
    sendDurable: (_to: unknown, message: Message) => void sent.push(message),
    quarantine: () => [],
    sendAllDurable: () => undefined,
    log: () => undefined,
  };
  return { holdings, ports, sent };
}

/** The heir says yes. */
function agree(departure: Departure, sent: readonly Message[]): void {
  departure.step(0);
  const asked = sent.find(({ type }) => type === 'heir-request')!;
  departure.onHeirAnswer(peer(2), { type: 'heir-answer', id: asked.id, willing: true }, 0);
}

test('what nobody uses any more is released with the range that it is of', (t) => {
  const { holdings, ports, sent } = leaver();
  holdings.take('old', range.network, 0);
  const departure = new Departure(ports, holdings.allocations.list());
  agree(departure, sent);
  t.is(departure.step(0), undefined);
  t.deepEqual([holdings.allocations.active, holdings.ownSpans], [0, []]);
});

test('an address that was handed out since is not given away under its user: the departure is off', (t) => {
  const { holdings, ports, sent } = leaver();
  holdings.take('old', range.network, 0);
  const departure = new Departure(ports, holdings.allocations.list());
  holdings.take('new', range.network, 0);
  agree(departure, sent);
  t.deepEqual(departure.step(0), { type: 'cancelled', reason: '"new" holds an address of this host again' });
  t.is(holdings.allocations.active, 2);
  t.deepEqual(holdings.ownSpans, [{ start: 0, end: 32 }]);
});

test("addresses outside the range are nobody else's, and do not keep a peer from leaving", (t) => {
  const { holdings, ports, sent } = leaver();
  const departure = new Departure(ports);
  holdings.mark('outside', parseCidr('192.0.2.7/24')!);
  agree(departure, sent);
  departure.step(0);
  t.deepEqual(holdings.ownSpans, []);
  t.is(holdings.allocations.addressesOf('outside').length, 1);
});
