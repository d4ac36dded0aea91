import type { ScenarioOptions } from '../sim/scenario.ts';
import { smallKind } from '../sim/small.ts';

/** A run of the simulation that once broke a promise, and which. */
export interface Replay extends Omit<ScenarioOptions, 'primitives'> {
  readonly found: string;
}

/** New ones come from `npm run sim`; a row stays for good. */
export const REPLAYS: readonly Replay[] = [
  {
    seed: 4,
    nodes: 20,
    found: 'after healing, connections and links waited for the back-off of the time apart',
  },
  { seed: 5, nodes: 20, found: 'after healing, offers of sessions waited half a minute for their next turn' },
  {
    seed: 3,
    nodes: 20,
    found: 'a broadcast waited 20 s for a session, and reached a node again in its next run',
  },
  {
    seed: 2393,
    nodes: 12,
    discovery: false,
    fullMeshLimit: 4,
    found: 'nodes were started again without the only ones that they had been told of',
  },
  {
    seed: 8645,
    nodes: 12,
    discovery: false,
    fullMeshLimit: 80,
    found: 'after a start, addresses waited for a connection whose other end was gone before it accepted',
  },
  {
    seed: 5973,
    nodes: 12,
    discovery: true,
    fullMeshLimit: 80,
    found:
      'a broadcast that had waited for a link was taken again where its originator had been out of reach for a moment',
  },
  {
    seed: 7879,
    nodes: 12,
    ...smallKind(7_879),
    found: 'the simulation did not wait for lists of addresses that themselves waited for a commit',
  },
];
