import type { Entry } from './entries.ts';
import { joinMembers } from './entries.ts';
import { hintKey, memberKey, ringKey, voterKey } from './entry-keys.ts';
import { MAX_SEGMENTS, mergeRings } from './ring.ts';

/** Entries that, merged, have the effect of all of these, one of a key. */
export function joinEntries(news: readonly (readonly Entry[])[]): Entry[] {
  const joined = new Map<string, Entry>();
  for (const entry of news.flat()) {
    const key = keyOf(entry);
    const before = joined.get(key);
    joined.set(key, before === undefined ? entry : joinTwo(before, entry));
  }
  return [...joined.values()];
}

function keyOf(entry: Entry): string {
  switch (entry.type) {
    case 'ring':
      return ringKey(entry.clusterId, entry.range.text);
    case 'hint':
      return hintKey(entry.name);
    case 'voter':
      return voterKey(entry);
    case 'member':
      return memberKey(entry);
  }
}

/** Of two with one key. Parts of a ring that together have too many pieces for one entry are left to repair. */
function joinTwo(a: Entry, b: Entry): Entry {
  if (a.type === 'ring' && b.type === 'ring') {
    const ring = mergeRings(a.ring, b.ring);
    return ring.length > MAX_SEGMENTS ? a : { ...a, ring };
  }
  if (a.type === 'member' && b.type === 'member') return joinMembers(a, b);
  return 'version' in a && 'version' in b && b.version > a.version ? b : a;
}
