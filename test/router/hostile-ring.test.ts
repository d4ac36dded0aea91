import test from 'ava';
import { parseCidr } from '../../core/address.ts';
import { fromHex } from '../../core/bytes.ts';
import { pack } from '../../core/msgpack.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { IpamEffect } from '../../ipam/effects.ts';
import { Ipam } from '../../ipam/ipam.ts';
import { AddressRange } from '../../ipam/range.ts';
import type { ControlReport, ControlStatus } from '../../router/control-status.ts';
import { ControlNet, type TestNode } from './control-net.ts';

/** Says besides what an allocator says whatever it is told to. */
class HostileIpam extends Ipam {
  readonly injected: IpamEffect[] = [];

  override drain(): IpamEffect[] {
    return [...super.drain(), ...this.injected.splice(0)];
  }
}

interface Mesh {
  readonly net: ControlNet;
  readonly victim: TestNode;
  readonly say: (effect: IpamEffect) => void;
}

/** Two nodes that share a ring, one of which misbehaves from then on. */
function mesh(): Mesh {
  const net = new ControlNet();
  const victim = net.start(1);
  let hostile: HostileIpam | undefined;
  const other = net.start(2, {}, (config, deps, now) => (hostile = new HostileIpam(config, deps, now)));
  net.connect(other, victim);
  net.run(10_000);
  victim.node.onIpamRequest(1, { type: 'allocate', id: 'web' }, net.now);
  net.settle(victim);
  net.run(10_000);
  const say = (effect: IpamEffect): void => {
    hostile!.injected.push(effect);
    other.node.onLocalMacs(new Uint8Array(6), net.now);
    net.settle(other);
    net.run(2_000);
  };
  return { net, victim, say };
}

function statusOf(net: ControlNet, host: TestNode): ControlStatus {
  host.node.requestStatus(99, net.now);
  net.settle(host);
  net.run(10);
  return host.documents.get(99)!;
}

test('a message that is none is counted, and changes nothing', (t) => {
  const { net, victim, say } = mesh();
  const before = statusOf(net, victim);
  t.is(before.ipam.owned.length, 2);
  t.is(before.router.drops['ipam-malformed'], undefined);
  for (const bytes of [
    Uint8Array.of(0xc1),
    pack([2, fromHex('00'.repeat(8)), new Uint8Array(9)]),
    pack([99]),
  ]) {
    say({ type: 'unicast', to: victim.name, bytes });
  }
  const after = statusOf(net, victim);
  t.is(after.router.drops['ipam-malformed'], 3);
  t.deepEqual(after.ipam, before.ipam);
});

test('gossip of a ring that is none is counted, closes the connection and leaves the ring as it was', (t) => {
  const { net, victim, say } = mesh();
  const before = statusOf(net, victim);
  const owner = { owner: '00:00:00:00:00:01' as PeerName, generation: '00000000000000bb' };
  const overlapping = [
    { start: 0, end: 40_000, epoch: 9, version: 9, ...owner },
    { start: 39_999, end: 65_536, epoch: 9, version: 9, ...owner },
  ];
  const { clusterId } = before.ipam;
  const range = new AddressRange(parseCidr(before.ipam.range)!);
  say({ type: 'publish', news: [{ type: 'ring', clusterId, range, ring: overlapping }] });
  victim.node.requestReport(98, net.now);
  net.settle(victim);
  net.run(10);
  const after = victim.documents.get(98) as ControlReport;
  t.is(after.failures['malformed'], 1);
  t.deepEqual(
    after.ipam.owned.map(({ name, addresses }) => [name, addresses]),
    before.ipam.owned.map(({ name, addresses }) => [name, addresses]),
  );
  t.is(after.ipam.active, 1);
});
