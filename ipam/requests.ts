import type { Cidr } from '../core/address.ts';
import { equalIp, formatIp } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';
import { compareNames } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { Millis } from '../core/time.ts';
import { earlier, MINUTE, SECOND } from '../core/time.ts';
import type { AttemptContext, Need } from './attempt.ts';
import { attempt } from './attempt.ts';
import type { AddressRequest, Asked, IpamPeer, IpamResult } from './effects.ts';
import type { MemberEntry } from './entries.ts';
import type { DonorCandidate } from './grant-search.ts';
import { GrantSearch } from './grant-search.ts';
import type { Holdings } from './holdings.ts';
import type { Message } from './messages.ts';
import type { Span } from './range.ts';
import { clipSpans, commonSpans, spanSize } from './range.ts';
import type { Ring } from './ring.ts';

const DEFAULT_TIMEOUT: Millis = 1 * MINUTE;
/** How long an owner, or any peer at all, may be out of reach before a request that needs it fails. */
const OUT_OF_REACH: Millis = 5 * SECOND;
const MAX_PENDING = 4_096;

interface RequestsPorts {
  readonly holdings: Holdings;
  readonly defaultSubnet: Cidr;
  readonly random: RandomSource;
  readonly timeout: Millis | undefined;
  readonly freeHint: (name: PeerName) => number | undefined;
  /** Members that use addresses which they do not own. */
  readonly users: () => readonly MemberEntry[];
  /** What was taken over and may not be given out yet. */
  readonly quarantine: () => readonly Span[];
  /** Answers once all that is queued for the store is durable. */
  readonly reply: (request: number, result: IpamResult, asked?: Asked) => void;
  readonly send: (to: PeerName, message: Message) => void;
  /** What everything that is not answered waits for, in words. */
  readonly describe: () => string | undefined;
}

interface Pending {
  readonly operation: AddressRequest;
  readonly since: Millis;
  /** What it waits for from others; undefined while it waits for a ring. */
  need: Need | undefined;
  /** What else it waits for, in words. */
  why?: string | undefined;
  /** The revision of the holdings that it was tried with. */
  tried: number | undefined;
}

/** The requests that are not answered yet, and the searches for space on their behalf. */
export class Requests {
  readonly #ports: RequestsPorts;
  readonly #timeout: Millis;
  readonly #pending = new Map<number, Pending>();
  readonly #searches = new Map<string, GrantSearch>();
  #exhausted = false;
  #steppedAt: Millis = -Infinity;
  /** What the last tries went by. */
  #ready = false;
  #users: readonly MemberEntry[] | undefined;
  /** What the last search went by, while nothing else has happened and `#dueAt` has not come. */
  #peers: readonly IpamPeer[] | undefined;
  #ring: Ring | undefined;
  #generations?: { readonly of: readonly IpamPeer[]; readonly byName: ReadonlyMap<PeerName, string> };
  #isStirred = false;
  #dueAt: Millis | undefined;

  constructor(ports: RequestsPorts) {
    this.#ports = ports;
    this.#timeout = ports.timeout ?? DEFAULT_TIMEOUT;
  }

  get waiting(): boolean {
    return this.#pending.size > 0;
  }

  get searching(): boolean {
    return this.#searches.size > 0;
  }

  /** The last search for space ended with a no from everyone. */
  get exhausted(): boolean {
    return this.#exhausted;
  }

  add(request: number, operation: AddressRequest, now: Millis): void {
    if (operation.type === 'release') this.#endWaitingFor(operation);
    if (this.#pending.size >= MAX_PENDING) {
      this.#ports.reply(request, failure(`${MAX_PENDING} requests are waiting already`));
      return;
    }
    this.#pending.set(request, { operation, since: now, need: undefined, tried: undefined });
    this.#isStirred = true;
  }

  /** Its answer was taken back. */
  addAgain(request: number, { operation, since }: Asked): void {
    this.#pending.set(request, { operation, since, need: undefined, tried: undefined });
    this.#isStirred = true;
  }

  cancel(request: number): void {
    if (this.#pending.delete(request)) this.#isStirred = true;
  }

  /** Has a request waited so long that others' answers no longer hold it up? */
  waitsLong(now: Millis): boolean {
    const [oldest] = this.#pending.values();
    return oldest !== undefined && now >= oldest.since + OUT_OF_REACH;
  }

  /** Tries every request that may come out differently now, then asks for what is missing. `ready` = space may be given out. */
  step(peers: readonly IpamPeer[], ready: boolean, now: Millis): void {
    this.#tryAll(ready, now);
    const { ring } = this.#ports.holdings;
    const isDue = this.#dueAt !== undefined && now >= this.#dueAt;
    if (!this.#isStirred && !isDue && peers === this.#peers && ring === this.#ring) return;
    this.#steppedAt = now;
    this.#peers = peers;
    this.#ring = ring;
    this.#isStirred = false;
    this.#search(peers, now);
    this.#endOverdue(now);
    this.#dueAt = this.#firstDue();
  }

  onGranted(from: PeerName, id: string): void {
    for (const [key, search] of this.#searches) if (search.isAwaiting(from, id)) this.#searches.delete(key);
    this.#exhausted = false;
    this.#isStirred = true;
  }

  onDenied(from: PeerName, { id, reason, holder }: Extract<Message, { type: 'denied' }>, now: Millis): void {
    for (const search of this.#searches.values()) {
      if (search.onDenied(from, id, reason, holder, now)) this.#isStirred = true;
    }
  }

  nextTimeout(): Millis | undefined {
    return this.#dueAt;
  }

  #firstDue(): Millis | undefined {
    let time: Millis | undefined;
    for (const { since } of this.#pending.values()) {
      time = earlier(time, since + this.#timeout);
      if (since + OUT_OF_REACH > this.#steppedAt) time = earlier(time, since + OUT_OF_REACH);
    }
    for (const search of this.#searches.values()) time = earlier(time, search.nextTimeout());
    return time;
  }

  /** Whose grant is awaited, in words. */
  awaiting(peers: readonly IpamPeer[]): string | undefined {
    const searches = [...this.#searches.values()];
    const names = searches.flatMap((search) => search.awaited());
    if (names.length === 0) return undefined;
    const listed = [...new Set(names)].map((name) => nickOf(name, peers)).join(', ');
    return `awaiting a grant from ${listed}${restingAt(searches, peers)}`;
  }

  /** A request that was not met is so as long as what this peer holds stays as it is. */
  #tryAll(ready: boolean, now: Millis): void {
    const { holdings } = this.#ports;
    const users = this.#ports.users();
    const isNew = ready !== this.#ready || users !== this.#users;
    this.#ready = ready;
    this.#users = users;
    for (const [request, pending] of this.#pending) {
      if (!isNew && pending.tried === holdings.revision) continue;
      pending.tried = holdings.revision;
      this.#try(request, pending, { holdings, defaultSubnet: this.#ports.defaultSubnet, users, ready }, now);
    }
  }

  #try(request: number, pending: Pending, context: AttemptContext, now: Millis): void {
    const result = attempt(pending.operation, context, now);
    const need = result.type === 'needs' ? result.need : undefined;
    if (need !== undefined || pending.need !== undefined) this.#isStirred = true;
    pending.need = need;
    pending.why = result.type === 'waits' ? result.why : undefined;
    if (result.type !== 'answered') return;
    this.#isStirred = true;
    if (pending.operation.type !== 'lookup' && pending.operation.type !== 'list') this.#exhausted = false;
    this.#pending.delete(request);
    const { operation, since } = pending;
    this.#ports.reply(request, result.result, { operation, since, granted: result.granted });
  }

  #search(peers: readonly IpamPeer[], now: Millis): void {
    const needs = new Map(
      [...this.#pending.values()].flatMap(({ need }) => (need ? [[keyOf(need), need]] : [])),
    );
    for (const key of [...this.#searches.keys()]) if (!needs.has(key)) this.#searches.delete(key);
    for (const [key, need] of needs) this.#searchFor(key, need, peers, now);
  }

  #searchFor(key: string, need: Need, peers: readonly IpamPeer[], now: Millis): void {
    const search = this.#searches.get(key) ?? new GrantSearch(need);
    this.#searches.set(key, search);
    const candidates = this.#candidates(need, peers);
    for (const { to, id } of search.step(candidates, this.#ports.random, now)) this.#ask(to, id, need);
    if (!search.isDenied(candidates, now)) return;
    const error = this.#denial(search, candidates.length, peers);
    for (const [request, pending] of this.#pending) {
      if (pending.need === undefined || keyOf(pending.need) !== key) continue;
      if (candidates.length === 0 && now < pending.since + OUT_OF_REACH) continue;
      this.#exhausted ||= !need.exact;
      this.#answer(request, failure(error));
    }
    if (candidates.length > 0) this.#searches.delete(key);
  }

  /** Whoever may have what is needed; of an exact need only its owner. */
  #candidates(need: Need, peers: readonly IpamPeer[]): DonorCandidate[] {
    const generations = this.#generationsOf(peers);
    const owners = this.#ports.holdings.ownersWithin(need.span, (name) => generations.get(name));
    const names = need.exact
      ? [...owners.keys()].filter((name) => generations.has(name))
      : generations.keys();
    return Array.from(names, (name) => {
      const owned = owners.get(name) ?? [];
      const size = spanSize(owned);
      return { name, weight: Math.min(size, this.#ports.freeHint(name) ?? size), owned };
    });
  }

  /** Ascending by name. */
  #generationsOf(peers: readonly IpamPeer[]): ReadonlyMap<PeerName, string> {
    if (this.#generations?.of === peers) return this.#generations.byName;
    const sorted = [...peers].sort((a, b) => compareNames(a.name, b.name));
    const byName = new Map(sorted.map(({ name, generation }) => [name, generation]));
    this.#generations = { of: peers, byName };
    return byName;
  }

  #endOverdue(now: Millis): void {
    for (const [request, { since, why }] of this.#pending) {
      if (now < since + this.#timeout) continue;
      const state = why ?? this.#ports.describe();
      const after = `timed out after ${Math.round(this.#timeout / SECOND)} s`;
      this.#answer(request, failure(state === undefined ? after : `${after}: ${state}`));
    }
  }

  /** Who gives back what somebody still waits for does not want it any more. */
  #endWaitingFor({ id, address }: Extract<AddressRequest, { type: 'release' }>): void {
    for (const [request, { operation }] of this.#pending) {
      if (operation.type !== 'allocate' && operation.type !== 'claim') continue;
      if (operation.id !== id) continue;
      const other =
        address !== undefined && (operation.type === 'allocate' || !equalIp(operation.cidr.ip, address));
      if (!other) this.#answer(request, failure(`"${id}" was released while it waited for an address`));
    }
  }

  #ask(to: PeerName, id: string, { span, exact }: Need): void {
    const want = exact ? 'exact' : 'any';
    const { clusterId, self } = this.#ports.holdings;
    if (clusterId === undefined) return;
    this.#ports.send(to, {
      type: 'space-request',
      id,
      clusterId,
      generation: self.generation,
      span,
      want,
    });
  }

  #denial(search: GrantSearch, asked: number, peers: readonly IpamPeer[]): string {
    return search.need.exact
      ? this.#exactDenial(search, asked, peers)
      : this.#spaceDenial(search, asked, peers);
  }

  #exactDenial(search: GrantSearch, asked: number, peers: readonly IpamPeer[]): string {
    const { holdings } = this.#ports;
    const { start } = search.need.span;
    const address = formatIp(holdings.range.ipAt(start));
    const holder = search.holder();
    if (holder !== undefined)
      return `${address} is in use by "${holder.id}" on ${nickOf(holder.peer, peers)}`;
    const owner = holdings.ownerOf(start);
    if (owner === undefined) return `${address} has no owner that is known here`;
    const name = nickOf(owner.owner, peers);
    return asked > 0
      ? `${address} belongs to ${name}, which does not give it`
      : `${address} belongs to ${name}, which is not reachable`;
  }

  #spaceDenial(search: GrantSearch, asked: number, peers: readonly IpamPeer[]): string {
    const { holdings } = this.#ports;
    const reachable = new Map(peers.map(({ name, generation }) => [name, generation]));
    const away = holdings.unservedSize(reachable);
    const lost = away === 0 ? '' : `; ${away} addresses belong to peers that are not reachable`;
    const rest = this.#restingHere(search.need.span) + restingAt([search], peers) + lost;
    if (asked === 0)
      return `no free addresses: those of this node are used up and no other peer is reachable${rest}`;
    return `no free addresses: those of this node are used up and none of the ${asked} reachable peers has one to give${rest}`;
  }

  #restingHere(span: Span): string {
    const { holdings, quarantine } = this.#ports;
    const size = spanSize(clipSpans(commonSpans(holdings.ownSpans, quarantine()), span));
    if (size === 0) return '';
    return `; ${size} ${size === 1 ? 'address is' : 'addresses are'} in quarantine: see status ipam`;
  }

  #answer(request: number, result: IpamResult): void {
    this.#pending.delete(request);
    this.#isStirred = true;
    this.#ports.reply(request, result);
  }
}

function keyOf({ span, exact }: Need): string {
  return `${span.start}-${span.end}${exact ? ' exact' : ''}`;
}

function failure(error: string): IpamResult {
  return { type: 'failed', error };
}

/** Who keeps what is searched for in quarantine. */
function restingAt(searches: readonly GrantSearch[], peers: readonly IpamPeer[]): string {
  const names = [...new Set(searches.flatMap((search) => search.quarantining()))];
  if (names.length === 0) return '';
  return `; addresses of ${names.map((name) => nickOf(name, peers)).join(', ')} are in quarantine: see status ipam there`;
}

/** "NICK (NAME)", or the bare name of a peer that is not known. */
function nickOf(name: PeerName, peers: readonly IpamPeer[]): string {
  const nickname = peers.find((peer) => peer.name === name)?.nickname;
  return nickname === undefined || nickname === '' ? name : `${nickname} (${name})`;
}
