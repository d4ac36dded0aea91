import {
  cidrContains,
  compareIp,
  equalEndpoint,
  formatEndpoint,
  parseCidr,
  type Endpoint,
} from '../core/address.ts';
import { MINUTE, type Millis } from '../core/time.ts';
import { MAX_ADDRESSES } from './topology-entry.ts';

/** Nobody can be reached at these: unspecified, loopback, multicast, broadcast. */
const UNUSABLE = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '::/128', '::1/128', 'ff00::/8'].map((text) =>
  parseCidr(text)!,
);

/** A connection that began at an address that is gone is silent, and dead by then; the address may be a NAT's next. */
const FORMER_FOR: Millis = MINUTE;

/** Places that the host's own leave to addresses that others saw us at: behind a NAT those are the way in. */
const FOR_SEEN = 2;

/** The addresses that a peer publishes of itself: those that its host has, and those that others saw it at. */
export class OwnAddresses {
  #own: readonly Endpoint[];
  /** Least recently seen first. */
  readonly #seen = new Map<string, Endpoint>();
  /** Those that the host has no more, and until when a connection that began there may still live. */
  #former: readonly { readonly endpoint: Endpoint; readonly until: Millis }[] = [];
  #list: readonly Endpoint[] | undefined;

  constructor(own: readonly Endpoint[]) {
    this.#own = own.slice(0, MAX_ADDRESSES);
  }

  /**
   * The host has these from now on. If one of the earlier ones is gone, so may be all that was seen: true, and nothing
   * of that is left; who still sees us has to tell again.
   */
  replace(own: readonly Endpoint[], now: Millis): boolean {
    const before = this.#own;
    this.#own = own.slice(0, MAX_ADDRESSES);
    this.#list = undefined;
    const gone = before.filter((endpoint) => !includes(own, endpoint));
    const still = this.#former.filter(({ endpoint }) => !includes(own, endpoint));
    const fresh = gone.map((endpoint) => ({ endpoint, until: now + FORMER_FOR }));
    this.#former = [...fresh, ...still].slice(0, MAX_ADDRESSES);
    if (gone.length > 0) this.#seen.clear();
    return gone.length > 0;
  }

  /** A neighbour tells where it sees us. Lies cost others a failed dial. */
  onSeen(endpoint: Endpoint, now: Millis): void {
    const isFormer = this.#former.some(
      (former) => now < former.until && equalEndpoint(former.endpoint, endpoint),
    );
    if (isFormer || UNUSABLE.some((cidr) => cidrContains(cidr, endpoint.ip))) return;
    const key = formatEndpoint(endpoint);
    this.#seen.delete(key);
    this.#seen.set(key, endpoint);
    this.#list = undefined;
    if (this.#seen.size > MAX_ADDRESSES) this.#seen.delete(this.#seen.keys().next().value!);
  }

  /**
   * The host's own first, then by address, so that the order does not change with who connects when. If there is no room for
   * all that were seen, the latest: what was true once, or never, does not take their place.
   */
  list(): readonly Endpoint[] {
    return (this.#list ??= this.#compose());
  }

  #compose(): readonly Endpoint[] {
    const own = new Set(this.#own.map(formatEndpoint));
    const seen = [...this.#seen.values()].filter((endpoint) => !own.has(formatEndpoint(endpoint)));
    const places = MAX_ADDRESSES - Math.min(seen.length, FOR_SEEN);
    const first = this.#own.slice(0, places);
    const latest = seen.slice(-(MAX_ADDRESSES - first.length));
    return [...first, ...latest.sort((a, b) => compareIp(a.ip, b.ip) || a.port - b.port)];
  }
}

function includes(endpoints: readonly Endpoint[], endpoint: Endpoint): boolean {
  return endpoints.some((other) => equalEndpoint(endpoint, other));
}
