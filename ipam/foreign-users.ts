import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { earlier, MINUTE } from '../core/time.ts';
import type { IpamPeer } from './effects.ts';
import type { MemberEntry } from './entries.ts';
import type { Span } from './range.ts';
import { unionSpans } from './range.ts';

/** What a member that is out of reach uses of others' space is withheld for this long. */
export const ABSENT_USER: Millis = 10 * MINUTE;

const nothing: readonly Span[] = [];

/** The members that use addresses which they do not own. Their owners must not give those out meanwhile. */
export class ForeignUsers {
  readonly #self: PeerName;
  /** When a user was first found out of reach, by name and generation. */
  readonly #absentSince = new Map<string, Millis>();
  #users: readonly MemberEntry[] = [];
  #spans = nothing;

  constructor(self: PeerName) {
    this.#self = self;
  }

  /** Ascending by name. */
  get users(): readonly MemberEntry[] {
    return this.#users;
  }

  /** All that they use: the same object as long as nothing changes. */
  get spans(): readonly Span[] {
    return this.#spans;
  }

  /** `conflicted` = all members with conflicts. Returns those whose time is over just now. */
  step(
    conflicted: readonly MemberEntry[],
    clusterId: string | undefined,
    peers: readonly IpamPeer[],
    now: Millis,
  ): MemberEntry[] {
    if (conflicted.length === 0 && this.#users.length === 0) return [];
    const here = conflicted.filter((one) => one.name !== this.#self && one.clusterId === clusterId);
    const users = here.filter((one) => this.#isPresent(one, peers, now));
    const ended = this.#users.filter((one) => here.includes(one) && !users.includes(one));
    const same = users.length === this.#users.length && users.every((one) => this.#users.includes(one));
    if (!same) {
      this.#users = users.sort((a, b) => (a.name < b.name ? -1 : 1));
      this.#spans = users.length === 0 ? nothing : unionSpans(users.flatMap(({ conflicts }) => conflicts));
    }
    return ended;
  }

  nextTimeout(): Millis | undefined {
    return this.#users.reduce<Millis | undefined>((time, user) => {
      const since = this.#absentSince.get(keyOf(user));
      return since === undefined ? time : earlier(time, since + ABSENT_USER);
    }, undefined);
  }

  #isPresent(user: MemberEntry, peers: readonly IpamPeer[], now: Millis): boolean {
    const key = keyOf(user);
    const announced = peers.some(
      ({ name, generation, reachable }) => reachable && name === user.name && generation === user.generation,
    );
    if (announced) {
      this.#absentSince.delete(key);
      return true;
    }
    const since = this.#absentSince.get(key) ?? now;
    this.#absentSince.set(key, since);
    return now < since + ABSENT_USER;
  }
}

function keyOf({ name, generation }: MemberEntry): string {
  return `${name} ${generation}`;
}
