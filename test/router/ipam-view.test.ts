import test from 'ava';
import type { PeerName } from '../../core/peer-name.ts';
import type { TopologyEntry } from '../../gossip/topology-entry.ts';
import { IpamView } from '../../router/ipam-view.ts';
import { entry } from '../gossip/entries.ts';
import { peerName } from '../gossip/mesh.ts';

const [SELF, B, C] = [peerName(1), peerName(2), peerName(3)];

/** What the view looks at: who is known, who of them is in reach, and who has a connection with us. */
class Mesh {
  entriesSeen: TopologyEntry[] = [entry(1)];
  reachable = new Set<PeerName>([SELF]);
  connections: { name: PeerName; isEstablished: boolean }[] = [];

  neighbours(): { name: PeerName; isEstablished: boolean }[] {
    return this.connections;
  }

  entries(): TopologyEntry[] {
    return this.entriesSeen;
  }

  isReachable(name: PeerName): boolean {
    return this.reachable.has(name);
  }
}

test('who has a connection is about to be a neighbour, whether or not our entry tells of it yet', (t) => {
  const mesh = new Mesh();
  const view = new IpamView(SELF);
  t.deepEqual(view.update(mesh)!.connecting, []);
  t.false(view.isConnectingNews(mesh));
  mesh.connections = [{ name: B, isEstablished: false }];
  t.true(view.isConnectingNews(mesh));
  t.deepEqual(view.update(mesh)!.connecting, [B]);
  mesh.connections = [{ name: B, isEstablished: true }];
  mesh.entriesSeen.push(entry(2));
  t.deepEqual(view.update(mesh)!.connecting, [B], 'it does not tell of us yet');
  mesh.reachable.add(B);
  t.true(view.isConnectingNews(mesh));
  const seen = view.update(mesh)!;
  t.deepEqual(seen.connecting, []);
  t.true(seen.peers.find(({ name }) => name === B)!.neighbour);
});

test('a neighbour more is news even if nobody is connecting', (t) => {
  const mesh = new Mesh();
  mesh.entriesSeen.push(entry(2), entry(3));
  mesh.reachable = new Set([SELF, B, C]);
  mesh.connections = [{ name: B, isEstablished: true }];
  const view = new IpamView(SELF);
  view.update(mesh);
  t.is(view.update(mesh), undefined);
  mesh.connections.push({ name: C, isEstablished: true });
  t.true(view.isConnectingNews(mesh));
  t.true(view.update(mesh)!.peers.every(({ name, neighbour }) => neighbour === (name !== SELF)));
});

test('of a peer that did not change the view has the same object, and another one of whoever changed', (t) => {
  const mesh = new Mesh();
  mesh.entriesSeen = [entry(1), entry(2)];
  mesh.reachable = new Set([SELF, B]);
  const view = new IpamView(SELF);
  const before = view.update(mesh)!.peers;
  mesh.entriesSeen = [mesh.entriesSeen[0]!, entry(2), entry(3)];
  mesh.reachable = new Set([SELF, C]);
  const after = view.update(mesh)!.peers;
  t.is(after[0], before[0]);
  t.deepEqual(
    after.map(({ name, reachable }) => [name, reachable]),
    [
      [SELF, true],
      [B, false],
      [C, true],
    ],
  );
  mesh.reachable.add(B);
  t.deepEqual(view.update(mesh)!.peers[1], { ...after[1]!, reachable: true });
  mesh.entriesSeen = [mesh.entriesSeen[0]!, entry(2, { nickname: 'renamed' }), mesh.entriesSeen[2]!];
  t.is(view.update(mesh)!.peers[1]!.nickname, 'renamed');
});
