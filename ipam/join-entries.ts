import type { Entry, HintEntry, RingEntry, VoterEntry } from './entries.ts';
import { mergeRings } from './ring.ts';

/** As few entries as have the effect of all of these: of hints and votes the newest, of rings the merged parts. */
export function joinEntries(entries: readonly Entry[]): Entry[] {
  const rings = new Map<string, RingEntry>();
  const hints = new Map<string, HintEntry>();
  const voters = new Map<string, VoterEntry>();
  for (const entry of entries) {
    switch (entry.type) {
      case 'ring':
        addRing(rings, entry);
        break;
      case 'hint':
        addNewer(hints, entry.name, entry);
        break;
      case 'voter':
        addNewer(voters, `${entry.name} ${entry.generation} ${entry.range}`, entry);
        break;
    }
  }
  return [...inOrder(rings), ...inOrder(hints), ...inOrder(voters)];
}

function addRing(rings: Map<string, RingEntry>, entry: RingEntry): void {
  const key = `${entry.clusterId} ${entry.range.text}`;
  const known = rings.get(key);
  rings.set(key, known === undefined ? entry : { ...entry, ring: mergeRings(known.ring, entry.ring) });
}

function addNewer<E extends HintEntry | VoterEntry>(newest: Map<string, E>, key: string, entry: E): void {
  const known = newest.get(key);
  if (known === undefined || known.version < entry.version) newest.set(key, entry);
}

function inOrder<E>(byKey: ReadonlyMap<string, E>): E[] {
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
}
