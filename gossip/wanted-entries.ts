import type { PeerName } from '../core/peer-name.ts';
import { SECOND, type Millis } from '../core/time.ts';
import type { EntryStamp } from './topology-entry.ts';

/** After this long without an answer the next neighbour that has the entry is asked. */
const ASK_AGAIN: Millis = 2 * SECOND;
/** Entries that are awaited; what is asked for beyond that is not asked for again. */
const MAX_WANTED = 8_192;

type Stamp = Pick<EntryStamp, 'incarnation' | 'version'>;

/** A neighbour that announced an entry, with the stamp that it announced. */
interface Holder extends Stamp {
  readonly neighbour: string;
}

interface Wanted {
  /** The highest that was announced. */
  stamp: Stamp;
  /** A lower one that was asked for as well: anybody may announce what does not exist. */
  lower: Stamp | undefined;
  /** Undefined: it is to be asked of the next. */
  asked: Holder | undefined;
  /** Who is asked after that, in turn, each once. A request names no stamp: whatever they have is later than ours. */
  readonly others: Holder[];
  askAgainAt: Millis;
}

/** Entries that neighbours announced and one of them was asked for, until they come: none is fetched twice. */
export class WantedEntries {
  /** In order of `askAgainAt`. */
  readonly #wanted = new Map<PeerName, Wanted>();

  /** `from` has this entry, which we lack. Returns whether to ask it. */
  announced(name: PeerName, { incarnation, version }: Stamp, from: string, now: Millis): boolean {
    const holder: Holder = { neighbour: from, incarnation, version };
    const wanted = this.#wanted.get(name);
    if (wanted === undefined) {
      if (this.#wanted.size >= MAX_WANTED) return true;
      const askAgainAt = now + ASK_AGAIN;
      this.#wanted.set(name, { stamp: holder, lower: undefined, asked: holder, others: [], askAgainAt });
      return true;
    }
    const order = compare(holder, wanted.stamp);
    if (order > 0) this.#raise(name, wanted, holder, now);
    // Whoever was asked and tells of it once more could not answer before: it is the last to be asked again.
    else remember(wanted.others, holder);
    if (order >= 0) return order > 0;
    const isFirst = wanted.lower === undefined || compare(holder, wanted.lower) > 0;
    if (isFirst) wanted.lower = holder;
    return isFirst;
  }

  /** The entry with this stamp is here, or known already. Returns who has it, too. */
  came(name: PeerName, stamp: Stamp): readonly string[] {
    const wanted = this.#wanted.get(name);
    if (wanted === undefined || compare(stamp, wanted.stamp) < 0) return [];
    this.#wanted.delete(name);
    const holders = wanted.asked === undefined ? wanted.others : [wanted.asked, ...wanted.others];
    const alike = holders.filter((holder) => compare(holder, stamp) === 0);
    return [...new Set(alike.map(({ neighbour }) => neighbour))];
  }

  /** What came could not be used: who was asked is asked again, after the others. */
  unusable(name: PeerName): void {
    const wanted = this.#wanted.get(name);
    if (wanted?.asked !== undefined) remember(wanted.others, wanted.asked);
  }

  /** No more is to be expected from `neighbour`: others are asked at once. */
  lost(neighbour: string): void {
    const overdue: [PeerName, Wanted][] = [];
    for (const [name, wanted] of this.#wanted) {
      forget(wanted.others, neighbour);
      if (wanted.asked?.neighbour !== neighbour) continue;
      this.#wanted.delete(name);
      if (wanted.others.length === 0) continue;
      wanted.asked = undefined;
      wanted.askAgainAt = Number.NEGATIVE_INFINITY;
      overdue.push([name, wanted]);
    }
    if (overdue.length > 0) this.#putFirst(overdue);
  }

  nextTimeout(): Millis | undefined {
    for (const { askAgainAt } of this.#wanted.values()) return askAgainAt;
    return undefined;
  }

  /** What to ask whom for now; what nobody else has is given up. */
  overdue(now: Millis): Map<string, PeerName[]> {
    const requests = new Map<string, PeerName[]>();
    // What is put back comes last, and is not due.
    for (const [name, wanted] of this.#wanted) {
      if (now < wanted.askAgainAt) break;
      this.#wanted.delete(name);
      wanted.asked = wanted.others.shift();
      if (wanted.asked === undefined) continue;
      wanted.askAgainAt = now + ASK_AGAIN;
      this.#wanted.set(name, wanted);
      const names = requests.get(wanted.asked.neighbour) ?? [];
      names.push(name);
      requests.set(wanted.asked.neighbour, names);
    }
    return requests;
  }

  /** Who was to be asked before is asked if the higher one does not come. */
  #raise(name: PeerName, wanted: Wanted, holder: Holder, now: Millis): void {
    if (wanted.asked !== undefined) {
      forget(wanted.others, wanted.asked.neighbour);
      wanted.others.unshift(wanted.asked);
    }
    forget(wanted.others, holder.neighbour);
    wanted.stamp = holder;
    wanted.asked = holder;
    wanted.askAgainAt = now + ASK_AGAIN;
    this.#wanted.delete(name);
    this.#wanted.set(name, wanted);
  }

  #putFirst(overdue: readonly [PeerName, Wanted][]): void {
    const rest = [...this.#wanted];
    this.#wanted.clear();
    for (const [name, wanted] of [...overdue, ...rest]) this.#wanted.set(name, wanted);
  }
}

function remember(holders: Holder[], holder: Holder): void {
  const at = holders.findIndex(({ neighbour }) => neighbour === holder.neighbour);
  if (at === -1) holders.push(holder);
  else if (compare(holder, holders[at]!) > 0) holders[at] = holder;
}

function forget(holders: Holder[], neighbour: string): void {
  const at = holders.findIndex((holder) => holder.neighbour === neighbour);
  if (at !== -1) holders.splice(at, 1);
}

function compare(a: Stamp, b: Stamp): number {
  return a.incarnation - b.incarnation || a.version - b.version;
}
