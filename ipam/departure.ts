import type { Cidr } from '../core/address.ts';
import { formatCidr } from '../core/address.ts';
import { toHex } from '../core/bytes.ts';
import { compareNames } from '../core/peer-name.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { earlier, SECOND } from '../core/time.ts';
import type { Allocation } from './allocations.ts';
import type { IpamPeer } from './effects.ts';
import type { RingEntry } from './entries.ts';
import type { Message } from './messages.ts';
import { REQUEST_ID_BYTES } from './messages.ts';
import { labelled } from './peer-directory.ts';
import type { IpamPorts } from './ports.ts';
import type { Span } from './range.ts';
import { commonSpans, spanSize } from './range.ts';
import { splitRing } from './ring-reply.ts';

const RESEND: Millis = 1 * SECOND;
/** A peer that does not say whether it would be the heir is passed over after this long. */
const ANSWER_PATIENCE: Millis = 5 * SECOND;
/** An heir that is out of reach for this long is given up. */
const HEIR_PATIENCE: Millis = 10 * SECOND;

type Stage =
  | { readonly type: 'asking'; readonly heir: IpamPeer; readonly id: string; readonly since: Millis }
  /** The ring says that everything is the heir's; `open` = parts of it that it has not acknowledged. */
  | { readonly type: 'bequeathed'; readonly heir: IpamPeer; readonly open: Map<string, RingEntry> };

export type DepartureEnd =
  | { readonly type: 'left'; readonly heir: IpamPeer; readonly addresses: number }
  /** Nothing was given away, or the heir has it and vanished before it said so. */
  | { readonly type: 'cancelled'; readonly reason: string };

/**
 * Hands all that this peer owns to one heir: first asks whether it is willing, then writes the ring, then waits until
 * the heir holds that durably and nothing is left here. Meanwhile this peer neither gives out nor takes anything.
 */
export class Departure {
  readonly #ports: IpamPorts;
  /** Id and address of what is released with the range. */
  readonly #releasing: ReadonlySet<string>;
  readonly #refused = new Set<PeerName>();
  #stage: Stage | undefined;
  #addresses = 0;
  #sentAt: Millis = -Infinity;
  #absentSince: Millis | undefined;
  #cancelled: string | undefined;

  /** `releasing` = what nobody uses any more: it is released once there is an heir. */
  constructor(ports: IpamPorts, releasing: readonly Allocation[] = []) {
    this.#ports = ports;
    this.#releasing = new Set(releasing.flatMap(namesOf));
  }

  /** Is it past the point at which it could be called off without a trace? */
  get isWritten(): boolean {
    return this.#stage?.type === 'bequeathed';
  }

  /** `from` asks for an heir itself. Two that chose each other both cancel. */
  onHeirRequest(from: PeerName): void {
    if (this.#stage?.type === 'asking' && this.#stage.heir.name === from) {
      this.#cancelled = `${from} is about to leave, too`;
    }
  }

  onHeirAnswer(
    from: PeerName,
    { id, willing }: Extract<Message, { type: 'heir-answer' }>,
    now: Millis,
  ): void {
    const stage = this.#stage;
    if (stage?.type !== 'asking' || stage.heir.name !== from || stage.id !== id) return;
    if (!willing) this.#passOver(from);
    else this.#bequeath(stage.heir, now);
  }

  onInherited(from: PeerName, id: string): void {
    if (this.#stage?.type === 'bequeathed' && this.#stage.heir.name === from) this.#stage.open.delete(id);
  }

  step(now: Millis): DepartureEnd | undefined {
    if (this.#cancelled !== undefined) return { type: 'cancelled', reason: this.#cancelled };
    if (this.#stage === undefined) this.#choose(now);
    const stage = this.#stage;
    if (stage === undefined) return { type: 'cancelled', reason: this.#nobody() };
    if (stage.type === 'asking') return this.#ask(stage, now);
    return this.#deliver(stage, now);
  }

  nextTimeout(): Millis | undefined {
    const wait = this.#absentSince === undefined ? undefined : this.#absentSince + HEIR_PATIENCE;
    return earlier(wait, this.#sentAt + RESEND);
  }

  #ask(stage: Extract<Stage, { type: 'asking' }>, now: Millis): undefined {
    const { heir, id, since } = stage;
    if (now >= since + ANSWER_PATIENCE || !this.#isThere(heir)) {
      this.#passOver(heir.name);
      this.#sentAt = now - RESEND;
      return;
    }
    if (now < this.#sentAt + RESEND) return;
    this.#sentAt = now;
    this.#ports.send(heir.name, { type: 'heir-request', id, clusterId: this.#ports.holdings.clusterId! });
  }

  #deliver(stage: Extract<Stage, { type: 'bequeathed' }>, now: Millis): DepartureEnd | undefined {
    const { heir, open } = stage;
    // A grant that was under way may have come meanwhile.
    if (this.#ports.holdings.ownSpans.length > 0) this.#bequeath(heir, now);
    else if (open.size === 0) return { type: 'left', heir, addresses: this.#addresses };
    if (this.#cancelled !== undefined) return { type: 'cancelled', reason: this.#cancelled };
    if (this.#isThere(heir)) this.#absentSince = undefined;
    else this.#absentSince ??= now;
    if (this.#absentSince !== undefined && now >= this.#absentSince + HEIR_PATIENCE) {
      const reason = `${labelled(heir)} went out of reach before it confirmed that it has the addresses`;
      return { type: 'cancelled', reason };
    }
    if (now < this.#sentAt + RESEND) return undefined;
    this.#sentAt = now;
    for (const [id, ring] of open) this.#ports.sendDurable(heir.name, { type: 'bequest', id, ring });
    return undefined;
  }

  #choose(now: Millis): void {
    const heir = heirs(this.#ports).find(({ name }) => !this.#refused.has(name));
    if (heir === undefined) return;
    this.#stage = { type: 'asking', heir, id: this.#newId(), since: now };
    this.#sentAt = now - RESEND;
  }

  #passOver(name: PeerName): void {
    this.#refused.add(name);
    this.#stage = undefined;
    this.#sentAt = -Infinity;
  }

  #bequeath(heir: IpamPeer, now: Millis): void {
    const { holdings } = this.#ports;
    const { clusterId, range } = holdings;
    const user = this.#newUser();
    if (user !== undefined) {
      this.#cancelled = `"${user}" holds an address of this host again`;
      return;
    }
    this.#release(now);
    const ring = holdings.bequeath({ owner: heir.name, generation: heir.generation });
    this.#addresses += spanSize(ring);
    const open = this.#stage?.type === 'bequeathed' ? this.#stage.open : new Map<string, RingEntry>();
    for (const part of splitRing({ type: 'ring', clusterId: clusterId!, range, ring })) {
      open.set(this.#newId(), part);
    }
    this.#stage = { type: 'bequeathed', heir, open };
    this.#sentAt = -Infinity;
  }

  /** An id that holds more of the range than it did at the beginning. Addresses outside of it are no obstacle. */
  #newUser(): string | undefined {
    const { allocations, range } = this.#ports.holdings;
    const isNew = (id: string, cidr: Cidr): boolean =>
      range.offsetOf(cidr.ip) !== undefined && !this.#releasing.has(nameOf(id, cidr));
    return allocations.list().find(({ id, addresses }) => addresses.some((cidr) => isNew(id, cidr)))?.id;
  }

  #release(now: Millis): void {
    const { holdings } = this.#ports;
    for (const { id, addresses } of holdings.allocations.list()) {
      for (const cidr of addresses) {
        if (this.#releasing.has(nameOf(id, cidr))) holdings.release(id, cidr.ip, now);
      }
    }
  }

  #isThere(heir: IpamPeer): boolean {
    return heirs(this.#ports).some(
      ({ name, generation }) => name === heir.name && generation === heir.generation,
    );
  }

  #nobody(): string {
    return this.#refused.size === 0
      ? 'no other peer of this cluster is in reach'
      : `none of the ${this.#refused.size} peers in reach can take the addresses now`;
  }

  #newId(): string {
    return toHex(this.#ports.random.bytes(REQUEST_ID_BYTES));
  }
}

function nameOf(id: string, cidr: Cidr): string {
  return `${id} ${formatCidr(cidr)}`;
}

function namesOf({ id, addresses }: Allocation): string[] {
  return addresses.map((cidr) => nameOf(id, cidr));
}

/** What this peer owns and has in quarantine: nobody may be given it. */
export function ownQuarantine({ holdings, quarantine }: IpamPorts): Span[] {
  return commonSpans(holdings.ownSpans, quarantine());
}

/** Who may inherit: members of this cluster that are in reach, owners first, then ascending by name. */
export function heirs({ holdings, peers }: IpamPorts): IpamPeer[] {
  const owners = new Set(holdings.ring.map(({ owner }) => owner));
  const rank = ({ name }: IpamPeer): number => (owners.has(name) ? 0 : 1);
  return peers()
    .filter(({ reachable, generation, clusterId }) => {
      return reachable && generation !== '' && clusterId === holdings.clusterId;
    })
    .sort((a, b) => rank(a) - rank(b) || compareNames(a.name, b.name));
}
