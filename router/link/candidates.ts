import { equalEndpoint, type Endpoint } from '../../core/address.ts';

/** The peer names at most 16 itself; the rest is for where it was heard from. */
const MOST = 20;

/** Addresses where the peer may be, best first. What it did not name itself gives way first. */
export class Candidates {
  #named: Endpoint[];
  #heard: Endpoint[] = [];

  constructor(named: readonly Endpoint[]) {
    this.#named = [...named];
  }

  all(): readonly Endpoint[] {
    return [...this.#named, ...this.#heard];
  }

  /** The peer was heard from `endpoint`. Returns what had to go for it. */
  addHeard(endpoint: Endpoint): Endpoint | undefined {
    const full = this.#named.length + this.#heard.length >= MOST;
    const dropped = full ? this.#heard.shift() : undefined;
    this.#heard.push(endpoint);
    return dropped;
  }

  /** `endpoint` answered: it is the first to try from now on. */
  putFirst(endpoint: Endpoint): void {
    const other = (candidate: Endpoint) => !equalEndpoint(candidate, endpoint);
    this.#named = [endpoint, ...this.#named.filter(other)].slice(0, MOST);
    this.#heard = this.#heard.filter(other).slice(0, MOST - this.#named.length);
  }
}
