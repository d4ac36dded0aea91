import test from 'ava';
import { formatEndpoint } from '../../core/address.ts';
import { endpoint, Mesh, neighbours, reached, type SimulatedNode } from './mesh.ts';

const SECOND = 1_000;

/** `count` nodes that all know the first, some time after they met. */
function settled(seed: number, count: number): { mesh: Mesh; nodes: SimulatedNode[] } {
  const mesh = new Mesh(seed);
  const addresses = (n: number) => [endpoint(`192.0.2.${n}`)];
  const nodes = Array.from({ length: count }, (_, i) => mesh.add(i + 1, { addresses: addresses(i + 1) }));
  for (const node of nodes.slice(1)) mesh.connect(node, '192.0.2.1');
  mesh.run(90 * SECOND);
  return { mesh, nodes };
}

function namesOf(nodes: readonly SimulatedNode[]): string[] {
  return nodes.map(({ name }) => name);
}

function publishedBy(of: SimulatedNode, asSeenBy: SimulatedNode): string[] {
  return asSeenBy.gossip.entry(of.name)!.addresses.map(formatEndpoint);
}

for (const seed of [1, 2, 3, 4]) {
  test(`a host that moves is a neighbour of all again within two seconds, whoever dialled whom (seed ${seed})`, (t) => {
    const { mesh, nodes } = settled(seed, 8);
    const mover = nodes[3]!;
    const connected = () => nodes.map((node) => node.streams.size);
    t.deepEqual(connected(), Array<number>(8).fill(7));
    mesh.move(mover, '198.51.100.4');
    mesh.run(2 * SECOND);
    t.deepEqual(connected(), Array<number>(8).fill(7), 'no other end holds on to what is dead');
    for (const node of nodes) {
      t.deepEqual(reached(node), namesOf(nodes));
      t.deepEqual(publishedBy(mover, node), ['198.51.100.4:6783']);
    }
    mesh.run(60 * SECOND);
    t.deepEqual(connected(), Array<number>(8).fill(7));
    const gone = nodes.flatMap((node) => node.of('peer-gone'));
    t.deepEqual(gone, [], 'nobody was lost sight of');
  });
}

test('who comes later reaches a host that has moved at its new address', (t) => {
  const { mesh, nodes } = settled(5, 3);
  const mover = nodes[0]!;
  mesh.move(mover, '198.51.100.1');
  mesh.run(2 * SECOND);
  const late = mesh.add(9);
  mesh.connect(late, '192.0.2.2');
  mesh.run(5 * SECOND);
  t.true(neighbours(late).includes(mover.name));
});

test('a host that has no address for a while is back within two seconds of getting one', (t) => {
  const { mesh, nodes } = settled(6, 4);
  const mover = nodes[2]!;
  mesh.move(mover, '203.0.113.99');
  mesh.partition(
    [mover],
    nodes.filter((node) => node !== mover),
  );
  mesh.run(20 * SECOND);
  t.true(mover.gossip.connectionsStatus(mesh.now).some(({ state }) => state === 'retrying'));
  mesh.heal();
  mesh.move(mover, '198.51.100.3');
  mesh.run(2 * SECOND);
  for (const node of nodes) t.deepEqual(reached(node), namesOf(nodes));
  t.is(neighbours(mover).length, 3);
});

test('an interface that carries nothing comes or goes without a dial', (t) => {
  const { mesh, nodes } = settled(7, 3);
  const node = nodes[1]!;
  mesh.crash(nodes[2]!);
  mesh.run(20 * 60 * SECOND);
  const dials = node.dials;
  const own = endpoint('192.0.2.2');
  mesh.act(node, (gossip, now) => gossip.onAddresses([own, endpoint('172.17.0.1')], false, now));
  mesh.run(SECOND);
  t.is(node.dials, dials);
  t.deepEqual(publishedBy(node, nodes[0]!), ['192.0.2.2:6783', '172.17.0.1:6783']);
  mesh.act(node, (gossip, now) => gossip.onAddresses([own], true, now));
  mesh.run(SECOND);
  t.true(node.dials > dials, 'but not one that may be the way');
});

test('an address more changes nothing for those who are connected', (t) => {
  const { mesh, nodes } = settled(7, 4);
  const [node, other] = [nodes[1]!, nodes[2]!];
  const streams = [...node.streams.keys()];
  const dials = node.dials;
  mesh.act(node, (gossip, now) =>
    gossip.onAddresses([endpoint('192.0.2.2'), endpoint('198.51.100.2')], true, now),
  );
  mesh.run(5 * SECOND);
  t.deepEqual([...node.streams.keys()], streams);
  t.is(node.dials, dials);
  t.deepEqual(publishedBy(node, other), ['192.0.2.2:6783', '198.51.100.2:6783']);
});

test('who was asked for by an address that another one has now is dialled there, though the first is connected', (t) => {
  const { mesh, nodes } = settled(8, 3);
  const [mover, asker] = [nodes[0]!, nodes[1]!];
  mesh.move(mover, '198.51.100.1');
  mesh.run(5 * SECOND);
  const other = mesh.add(9, { ip: '192.0.2.1', addresses: [endpoint('192.0.2.1')] });
  mesh.run(2 * 60 * SECOND);
  t.deepEqual(neighbours(asker), namesOf([mover, nodes[2]!, other]));
});

test('a peer that is known by another address than it publishes is asked for once at each change', (t) => {
  const { mesh, nodes } = settled(9, 8);
  const [asker, ...others] = nodes;
  mesh.connect(asker!, ...others.map(({ ip }) => ip));
  mesh.run(30 * SECOND);
  const { dials } = asker!;
  for (const net of ['198.51.100', '203.0.113']) {
    for (const [i, node] of others.entries()) {
      mesh.act(node, (gossip, now) => gossip.onAddresses([endpoint(`${net}.${i + 1}`)], true, now));
    }
    mesh.run(60 * SECOND);
  }
  const more = asker!.dials - dials;
  t.true(more > 0 && more <= 2 * others.length, `${more} dials`);
  t.deepEqual(neighbours(asker!), namesOf(others));
});
