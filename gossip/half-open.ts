import type { IpAddress } from '../core/address.ts';
import { SECOND, type Millis } from '../core/time.ts';
import { sourceOf } from './source.ts';

const MAX_HALF_OPEN = 256;
const MAX_PER_SOURCE = 8;
/** An honest handshake is over by then. */
const PATIENCE: Millis = 2 * SECOND;

/**
 * Accepted connections that have not said hello. A source with too many gets no further one, unless its oldest has had
 * time enough: who holds connections open keeps others at the same address out no longer than that. When all together
 * are too many, the source with the most of them loses its oldest.
 */
export class HalfOpen {
  /** Source to its connections with the times they were accepted, oldest first. */
  readonly #bySource = new Map<string, Map<number, Millis>>();
  readonly #sources = new Map<number, string>();

  get size(): number {
    return this.#sources.size;
  }

  mayAdd(ip: IpAddress, now: Millis): boolean {
    const conns = this.#bySource.get(sourceOf(ip));
    if (conns === undefined || conns.size < MAX_PER_SOURCE) return true;
    return now - conns.values().next().value! >= PATIENCE;
  }

  /** Takes note of an accepted connection that may be added. Returns the one to drop in exchange, if any. */
  add(conn: number, ip: IpAddress, now: Millis): number | undefined {
    const source = sourceOf(ip);
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
    for (const conns of this.#bySource.values()) if (conns.size > most.size) most = conns;
    return most;
  }
}

function first(conns: ReadonlyMap<number, Millis>): number {
  return conns.keys().next().value!;
}
