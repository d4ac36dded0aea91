import { SECOND, type Millis } from '../core/time.ts';

const MAX_HALF_OPEN = 256;
const MAX_PER_SOURCE = 8;
/** An honest handshake is over by then. */
const PATIENCE: Millis = 2 * SECOND;

/**
 * Accepted connections that have not said hello. A source with too many gets no further one, unless its oldest has had
 * time enough: who holds connections open keeps others at the same address out no longer than that. When all together
 * are too many, the source with the most of them loses its oldest; one that is spared only if there is no other.
 */
export class HalfOpen {
  /** Source to its connections with the times they were accepted, oldest first. */
  readonly #bySource = new Map<string, Map<number, Millis>>();
  readonly #sources = new Map<number, string>();
  readonly #isSpared: (source: string) => boolean;

  constructor(isSpared: (source: string) => boolean) {
    this.#isSpared = isSpared;
  }

  get size(): number {
    return this.#sources.size;
  }

  mayAdd(source: string, now: Millis): boolean {
    const conns = this.#bySource.get(source);
    if (conns === undefined || conns.size < MAX_PER_SOURCE) return true;
    return now - conns.values().next().value! >= PATIENCE;
  }

  /** Takes note of an accepted connection that may be added. Returns the one to drop in exchange, if any. */
  add(conn: number, source: string, now: Millis): number | undefined {
    const conns = this.#bySource.get(source) ?? new Map<number, Millis>();
    conns.set(conn, now);
    this.#bySource.set(source, conns);
    this.#sources.set(conn, source);
    if (conns.size > MAX_PER_SOURCE) return first(conns);
    return this.#sources.size > MAX_HALF_OPEN ? first(this.#greediest()) : undefined;
  }

  /** The connection said hello or ended. */
  delete(conn: number): void {
    const source = this.#sources.get(conn);
    if (source === undefined) return;
    this.#sources.delete(conn);
    const conns = this.#bySource.get(source)!;
    conns.delete(conn);
    if (conns.size === 0) this.#bySource.delete(source);
  }

  #greediest(): ReadonlyMap<number, Millis> {
    let most: ReadonlyMap<number, Millis> = new Map();
    let mostSpared = most;
    for (const [source, conns] of this.#bySource) {
      if (!this.#isSpared(source)) most = conns.size > most.size ? conns : most;
      else if (conns.size > mostSpared.size) mostSpared = conns;
    }
    return most.size > 0 ? most : mostSpared;
  }
}

function first(conns: ReadonlyMap<number, Millis>): number {
  return conns.keys().next().value!;
}
