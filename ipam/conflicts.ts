import { formatIp } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { earlier } from '../core/time.ts';
import { ClaimBack } from './claim-back.ts';
import type { MemberEntry } from './entries.ts';
import { ForeignUsers } from './foreign-users.ts';
import type { Membership } from './membership.ts';
import type { Denial } from './messages.ts';
import type { IpamPorts } from './ports.ts';
import type { Span } from './range.ts';
import { spansOf, unionSpans } from './range.ts';
import type { SharedState } from './shared-state.ts';

/** How many addresses a line of the log names. */
const NAMED = 5;

/**
 * Addresses that one peer has handed out and another owns. Here: those that this peer lost, which it tells the others
 * and claims back; and those that others lost to this peer, which it must not give out.
 */
export class Conflicts {
  readonly #ports: IpamPorts;
  readonly #shared: SharedState;
  readonly #membership: Membership;
  readonly #users: ForeignUsers;
  readonly #claims: ClaimBack;
  /** The parts of {@link blocked} as they were. */
  #from: readonly (readonly Span[])[] = [];
  #blocked: readonly Span[] = [];
  #reported: readonly number[] = [];
  #begun = 0;
  #ended = 0;

  constructor(ports: IpamPorts, shared: SharedState, membership: Membership) {
    this.#ports = ports;
    this.#shared = shared;
    this.#membership = membership;
    this.#users = new ForeignUsers(ports.holdings.self.owner);
    this.#claims = new ClaimBack(ports);
  }

  /** Members that use addresses which they do not own; ascending by name. */
  get users(): readonly MemberEntry[] {
    return this.#users.users;
  }

  /** How many addresses in use here were lost to other peers since the start, and how many of these conflicts are over. */
  get counts(): { readonly begun: number; readonly ended: number } {
    return { begun: this.#begun, ended: this.#ended };
  }

  /** Sees to it that nothing is given out that others use, or that is in `quarantine`. */
  guard(quarantine: readonly Span[], now: Millis): void {
    const { holdings, peers, log } = this.#ports;
    const ended = this.#users.step(this.#shared.conflicted(), holdings.clusterId, peers(), now);
    for (const { name, nickname } of ended) {
      const message =
        'a peer that used addresses of others has been out of reach for 10 min: they are free again';
      log('warn', message, { peer: name, nickname });
    }
    const from = [quarantine, this.#users.spans];
    if (from.every((spans, i) => spans === this.#from[i])) return;
    this.#from = from;
    this.#blocked = unionSpans(from.flat());
    holdings.block(this.#blocked);
  }

  /** What this peer has to tell the others, if that has changed; it may be shown once it is durable. */
  news(): MemberEntry | undefined {
    const { holdings } = this.#ports;
    if (holdings.clusterId === undefined) return undefined;
    return this.#membership.say(holdings.clusterId, spansOf(holdings.lost()));
  }

  /** Claims back what was lost. */
  claim(now: Millis): void {
    this.#report();
    this.#claims.step(now);
  }

  onDenied(from: PeerName, id: string, reason: Denial, now: Millis): void {
    this.#claims.onDenied(from, id, reason, now);
  }

  nextTimeout(): Millis | undefined {
    return earlier(this.#users.nextTimeout(), this.#claims.nextTimeout());
  }

  #report(): void {
    const { holdings, log } = this.#ports;
    const lost = holdings.lost();
    if (lost === this.#reported) return;
    const before = new Set(this.#reported);
    const fresh = lost.filter((offset) => !before.has(offset));
    this.#reported = lost;
    this.#begun += fresh.length;
    this.#ended += before.size - (lost.length - fresh.length);
    if (fresh.length > 0) {
      const addresses = fresh.slice(0, NAMED).map((offset) => formatIp(holdings.range.ipAt(offset)));
      const fields = { count: fresh.length, addresses: addresses.join(', ') };
      log('error', 'addresses that are in use here belong to another peer; they are claimed back', fields);
    } else if (lost.length === 0 && before.size > 0) {
      log('info', 'all addresses that are in use here belong to this peer again', {});
    }
  }
}
