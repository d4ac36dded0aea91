import { compareIp, formatEndpoint, parseCidr, cidrContains, type Endpoint } from '../core/address.ts';
import { MAX_ADDRESSES } from './topology-entry.ts';

/** Nobody can be reached at these: unspecified, multicast, broadcast. */
const UNUSABLE = ['0.0.0.0/8', '224.0.0.0/3', '::/128', 'ff00::/8'].map((text) => parseCidr(text)!);

/** The addresses that a peer publishes of itself: those it was configured with, and those that others saw it at. */
export class OwnAddresses {
  readonly #configured: readonly Endpoint[];
  /** Least recently seen first. */
  readonly #seen = new Map<string, Endpoint>();
  #list: readonly Endpoint[] | undefined;

  constructor(configured: readonly Endpoint[]) {
    this.#configured = configured.slice(0, MAX_ADDRESSES);
  }

  /** A neighbour tells where it sees us. Lies cost others a failed dial. */
  onSeen(endpoint: Endpoint): void {
    if (UNUSABLE.some((cidr) => cidrContains(cidr, endpoint.ip))) return;
    const key = formatEndpoint(endpoint);
    if (!this.#seen.delete(key)) this.#list = undefined;
    this.#seen.set(key, endpoint);
    if (this.#seen.size > MAX_ADDRESSES) this.#seen.delete(this.#seen.keys().next().value!);
  }

  /** Configured ones first, then by address, so that the order does not change with who connects when. */
  list(): readonly Endpoint[] {
    return (this.#list ??= this.#compose());
  }

  #compose(): readonly Endpoint[] {
    const configured = new Set(this.#configured.map(formatEndpoint));
    const seen = [...this.#seen.values()]
      .filter((endpoint) => !configured.has(formatEndpoint(endpoint)))
      .sort((a, b) => compareIp(a.ip, b.ip) || a.port - b.port);
    return [...this.#configured, ...seen].slice(0, MAX_ADDRESSES);
  }
}
