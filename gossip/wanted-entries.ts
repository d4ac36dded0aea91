import type { PeerName } from '../core/peer-name.ts';
import { SECOND, type Millis } from '../core/time.ts';
import type { EntryStamp } from './topology-entry.ts';

/** After this long without an answer the next neighbour that has the entry is asked. */
const ASK_AGAIN: Millis = 2 * SECOND;
/** Neighbours that are remembered for one entry; the digests repair what none of them sends. */
const MAX_HOLDERS = 4;
/** Entries asked for at a time. */
const MAX_WANTED = 8_192;

type Stamp = Pick<EntryStamp, 'incarnation' | 'version'>;

interface Wanted extends Stamp {
  /** The first was asked. */
  readonly holders: readonly [string, ...string[]];
  readonly askAgainAt: Millis;
}

/** Entries that neighbours announced and one of them was asked for, until they come: none is fetched twice. */
export class WantedEntries {
  /** In order of `askAgainAt`. */
  readonly #wanted = new Map<PeerName, Wanted>();

  /** `from` has this entry, which we lack. Returns whether to ask it. */
  announced(name: PeerName, { incarnation, version }: Stamp, from: string, now: Millis): boolean {
    const wanted = this.#wanted.get(name);
    const order = wanted === undefined ? 1 : compare({ incarnation, version }, wanted);
    if (order === 0) this.#addHolder(name, wanted!, from);
    if (order <= 0) return order < 0; // somebody may announce what does not exist: the older one is asked for, too
    if (wanted === undefined && this.#wanted.size >= MAX_WANTED) return false;
    this.#put(name, { incarnation, version, holders: [from], askAgainAt: now + ASK_AGAIN });
    return true;
  }

  /** The entry, or a later one, is here. Returns who has it, too. */
  came(name: PeerName, stamp: Stamp): readonly string[] {
    const wanted = this.#wanted.get(name);
    const order = wanted === undefined ? -1 : compare(stamp, wanted);
    if (order >= 0) this.#wanted.delete(name);
    return order === 0 ? wanted!.holders : [];
  }

  /** No more is to be expected from `neighbour`: others are asked at once. */
  lost(neighbour: string): void {
    const overdue: [PeerName, Wanted][] = [];
    for (const [name, wanted] of this.#wanted) {
      if (!wanted.holders.includes(neighbour)) continue;
      const [asked, ...others] = wanted.holders;
      if (asked === neighbour) overdue.push([name, { ...wanted, askAgainAt: Number.NEGATIVE_INFINITY }]);
      else {
        const holders = [asked, ...others.filter((other) => other !== neighbour)] as const;
        this.#wanted.set(name, { ...wanted, holders });
      }
    }
    this.#putFirst(overdue);
  }

  nextTimeout(): Millis | undefined {
    for (const { askAgainAt } of this.#wanted.values()) return askAgainAt;
    return undefined;
  }

  /** What to ask whom for now; what nobody else has is given up. */
  overdue(now: Millis): Map<string, PeerName[]> {
    const requests = new Map<string, PeerName[]>();
    for (const [name, wanted] of [...this.#wanted]) {
      if (now < wanted.askAgainAt) break;
      const [, next, ...others] = wanted.holders;
      this.#wanted.delete(name);
      if (next === undefined) continue;
      this.#put(name, { ...wanted, holders: [next, ...others], askAgainAt: now + ASK_AGAIN });
      const names = requests.get(next) ?? [];
      names.push(name);
      requests.set(next, names);
    }
    return requests;
  }

  #addHolder(name: PeerName, wanted: Wanted, from: string): void {
    if (wanted.holders.includes(from) || wanted.holders.length >= MAX_HOLDERS) return;
    this.#wanted.set(name, { ...wanted, holders: [...wanted.holders, from] });
  }

  #put(name: PeerName, wanted: Wanted): void {
    this.#wanted.delete(name);
    this.#wanted.set(name, wanted);
  }

  #putFirst(overdue: readonly [PeerName, Wanted][]): void {
    if (overdue.length === 0) return;
    for (const [name] of overdue) this.#wanted.delete(name);
    const rest = [...this.#wanted];
    this.#wanted.clear();
    for (const [name, wanted] of [...overdue, ...rest]) this.#wanted.set(name, wanted);
  }
}

function compare(a: Stamp, b: Stamp): number {
  return a.incarnation - b.incarnation || a.version - b.version;
}
