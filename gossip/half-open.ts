import { formatIp, networkOf, type IpAddress } from '../core/address.ts';

const MAX_HALF_OPEN = 256;
const MAX_PER_SOURCE = 8;

/**
 * Accepted connections that have not said hello. When there are too many, the source with the most of them loses its
 * oldest, so that one attacker cannot keep others out.
 */
export class HalfOpen {
  /** Source to its connections, oldest first. */
  readonly #bySource = new Map<string, Set<number>>();
  readonly #sources = new Map<number, string>();

  /** Takes note of an accepted connection. Returns the one to drop in exchange, if any. */
  add(conn: number, ip: IpAddress): number | undefined {
    const source = sourceOf(ip);
    const conns = this.#bySource.get(source) ?? new Set();
    conns.add(conn);
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

  #greediest(): ReadonlySet<number> {
    let most: ReadonlySet<number> = new Set();
    for (const conns of this.#bySource.values()) if (conns.size > most.size) most = conns;
    return most;
  }
}

/** An IPv4 address, or the /64 of an IPv6 one: its holder has all of that. */
function sourceOf(ip: IpAddress): string {
  return formatIp(ip.family === 4 ? ip : networkOf({ ip, prefix: 64 }));
}

function first(conns: ReadonlySet<number>): number {
  return conns.values().next().value!;
}
