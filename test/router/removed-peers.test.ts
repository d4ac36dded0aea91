import test from 'ava';
import type { PeerName } from '../../core/peer-name.ts';
import { Removals } from '../../gossip/removals.ts';
import type { RemovedPeer } from '../../ipam/effects.ts';
import { Pins } from '../../router/link/pins.ts';
import { ControlNet, type TestNode } from './control-net.ts';

function mesh(): [ControlNet, TestNode, TestNode, TestNode] {
  const net = new ControlNet();
  // The first has no links, and so never saw the key of another.
  const nodes = [net.start(1, { dataPlane: false }), net.start(2), net.start(3)] as const;
  net.connect(nodes[1], nodes[0]);
  net.connect(nodes[2], nodes[1]);
  net.run(20_000);
  nodes[0].node.onIpamRequest(1, { type: 'prime' }, net.now);
  net.settle(nodes[0]);
  net.run(10_000);
  return [net, ...nodes];
}

function rmpeer(net: ControlNet, at: TestNode, victim: TestNode): RemovedPeer {
  const operation = { type: 'remove-peers', peers: [victim.name], now: true, strict: false } as const;
  at.node.onIpamRequest(2, operation, net.now);
  net.settle(at);
  net.run(10_000);
  const result = at.replies.get(2);
  if (result?.type !== 'removed') throw new Error(JSON.stringify(result));
  return result.removed[0]!;
}

test('a peer is removed by the key that its entry names where no link with it has shown it', (t) => {
  const [net, a, b, c] = mesh();
  t.truthy(Pins.decode(c.store.get('pins')!, 0)!.get(b.name));
  net.kill(b);
  net.run(2_000);
  t.is(rmpeer(net, a, b).warning, undefined);
  t.is(Pins.decode(c.store.get('pins')!, 0)!.get(b.name), undefined);
});

test('who removes a peer whose key it does not know is told that others still trust it', (t) => {
  const [net, a, b, c] = mesh();
  net.kill(b);
  net.kill(c);
  net.kill(a);
  net.start(1, { dataPlane: false });
  net.run(10_000);
  t.regex(rmpeer(net, a, b).warning!, /key is not known here.*run rmpeer on a host that had a link/);
});

test('a removal that finds no place says so', (t) => {
  const removals = new Removals(() => undefined, 0);
  const key = new Uint8Array(32);
  const nameOf = (n: number): PeerName => `02:00:00:00:${hex(n >> 8)}:${hex(n & 255)}` as PeerName;
  for (let n = 0; n < 4_096; n++) t.true(Array.isArray(removals.add({ name: nameOf(n), key })));
  t.is(removals.add({ name: nameOf(7), key }), 'known');
  t.is(removals.add({ name: nameOf(4_096), key }), 'full');
});

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
