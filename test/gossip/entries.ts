import { encodeBody } from '../../gossip/topology-codec.ts';
import { encodeDelta } from '../../gossip/topology-delta.ts';
import type { TopologyEntry } from '../../gossip/topology-entry.ts';
import { endpoint, peerName } from './mesh.ts';

/** Of node `index`. */
export function entry(index: number, change: Partial<TopologyEntry> = {}): TopologyEntry {
  return {
    name: peerName(index),
    nickname: `host${index}`,
    incarnation: 1,
    version: 1,
    uid: index.toString(16).padStart(16, '0'),
    key: new Uint8Array(32).fill(index),
    generation: '00000000000000aa',
    addresses: [endpoint(`192.0.2.${index % 256}`)],
    acceptsInbound: true,
    neighbours: [],
    capabilities: ['ipam'],
    bridgeMtu: 1_388,
    info: {},
    ...change,
  };
}

export function delta(...entries: TopologyEntry[]): Uint8Array {
  return encodeDelta(entries.map((one) => ({ entry: one, body: encodeBody(one) })));
}

/** With the nodes of these numbers. */
export function linked(...indexes: number[]): TopologyEntry['neighbours'] {
  return indexes.map((index) => ({ name: peerName(index), established: true, direct: index % 2 === 0 }));
}
