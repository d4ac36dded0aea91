import { compareNames } from '../core/peer-name.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { SECOND } from '../core/time.ts';
import type { IpamPeer, RemovedPeer } from './effects.ts';
import { isElsewhere } from './effects.ts';
import type { Owner } from './entries.ts';
import type { IpamPorts } from './ports.ts';
import type { QuarantineStep, TakeOver, TakeOverStatus } from './quarantine.ts';
import { newTakeOverId, Quarantine, REST_AFTER_TAKE_OVER } from './quarantine.ts';
import type { Span } from './range.ts';
import { spanSize, withoutSpans } from './range.ts';
import { splitRing } from './ring-reply.ts';
import type { RingValue } from './ring.ts';
import { NO_GENERATION } from './ring.ts';
import { takeOverChange } from './stored-state.ts';

interface TakeOverOptions {
  /** Only acknowledgements are waited for. */
  readonly now: boolean;
  /** Owners that are out of reach are waited for, however long. */
  readonly strict: boolean;
}

/** Takes over what nobody serves any more, and keeps it in quarantine until that is safe. */
export class TakeOvers {
  readonly #ports: IpamPorts;
  readonly #quarantine: Quarantine;
  /** By victim: who was waited for in vain, in this run, and has neither been in reach nor been removed since. */
  readonly #givenUp = new Map<PeerName, Set<PeerName>>();
  /** What the last step went by, while nothing else has happened. */
  #seen: readonly unknown[] = [];
  #dueAt: Millis = -Infinity;
  #taken = 0;
  #unacknowledged = 0;

  constructor(ports: IpamPorts, restored: readonly TakeOver[], now: Millis) {
    this.#ports = ports;
    this.#quarantine = new Quarantine(restored, now);
  }

  /** In quarantine: the same object as long as nothing changes. */
  get spans(): readonly Span[] {
    return this.#quarantine.spans;
  }

  /** Is everything that this peer owns in quarantine? */
  get holdAll(): boolean {
    const own = this.#ports.holdings.ownSpans;
    return own.length > 0 && withoutSpans(own, this.spans).length === 0;
  }

  /** How many addresses were taken over since the start, and how often a peer was waited for in vain. */
  get counts(): { readonly taken: number; readonly unacknowledged: number } {
    return { taken: this.#taken, unacknowledged: this.#unacknowledged };
  }

  /** Takes over all that `name` owns and does not serve. */
  remove(name: PeerName, nickname: string, options: TakeOverOptions, now: Millis): RemovedPeer {
    const { holdings } = this.#ports;
    for (const victim of this.#givenUp.keys()) this.#forgetGivenUp(victim, (one) => one === name);
    const peer = this.#ports.peers().find((one) => one.name === name);
    const accept = (value: RingValue): boolean =>
      value.owner === name && !holdings.isMine(value) && !isServed(value, peer, holdings.clusterId);
    const victim = { owner: name, generation: holdings.ring.find(accept)?.generation ?? NO_GENERATION };
    const delta = holdings.takeOver(accept);
    this.#taken += spanSize(delta);
    const waiting = delta.length === 0 ? [] : this.#witnesses(options.strict);
    const parts = splitRing({
      type: 'ring',
      clusterId: holdings.clusterId!,
      range: holdings.range,
      ring: delta,
    });
    for (const ring of parts) this.#begin({ victim, ring, waiting, ...options }, now);
    return {
      name,
      nickname,
      addresses: spanSize(delta),
      waitingFor: waiting.map(({ owner }) => owner),
      restSeconds: options.now || delta.length === 0 ? 0 : REST_AFTER_TAKE_OVER / SECOND,
      outOfReach: delta.length === 0 ? [] : this.#outOfReach(name),
    };
  }

  /** Takes over what this peer's own name owns under another generation: its former lives. */
  removeFormerSelf(now: Millis): RemovedPeer | undefined {
    const { holdings } = this.#ports;
    if (!holdings.standing.hasFormerSelf) return undefined;
    return this.remove(holdings.self.owner, '', { now: false, strict: false }, now);
  }

  onTaken(from: PeerName, id: string): void {
    const changed = this.#quarantine.onTaken(from, id);
    if (changed === undefined) return;
    this.#dueAt = -Infinity;
    this.#store(id, changed);
  }

  /** What was queued for the store is durable. */
  onCommitted(): void {
    this.#dueAt = -Infinity;
  }

  /** A take-over counts from when it is recorded: who is in reach then has to acknowledge it, and then its rest begins. */
  onCommitFailed(now: Millis): void {
    const begun = this.#quarantine.beginAgain(({ strict }) => this.#witnesses(strict), now);
    for (const takeOver of begun) this.#store(takeOver.id, takeOver);
  }

  step(now: Millis): void {
    const { holdings, peers, log } = this.#ports;
    const { clusterId, ring, ownSpans: own } = holdings;
    const seen = [peers(), clusterId, ring, own];
    const isSeen = seen.every((part, i) => part === this.#seen[i]);
    const isIdle = this.#quarantine.isEmpty && this.#givenUp.size === 0;
    if (isIdle || (isSeen && now < this.#dueAt)) return;
    this.#seen = seen;
    const known = new Map(peers().map((peer) => [peer.name, peer]));
    this.#forgetHeard(known);
    const isQueued = (id: string): boolean => this.#ports.queue.isQueued(takeOverChange(id, undefined).key);
    const view = { peers: known, ring, own, isQueued };
    const { send, changed, givenUp } = this.#quarantine.step(view, now);
    this.#dueAt = this.#quarantine.nextTimeout() ?? Infinity;
    for (const { id, takeOver } of changed) this.#store(id, takeOver);
    this.#sendAll(send);
    this.#unacknowledged += givenUp.length;
    for (const { name, victim } of givenUp) {
      log('warn', 'a peer out of reach did not acknowledge a take-over', { peer: name, victim });
      this.#givenUp.set(victim, (this.#givenUp.get(victim) ?? new Set()).add(name));
    }
  }

  /** The cluster was left. */
  clear(): void {
    for (const id of this.#quarantine.clear()) this.#store(id, undefined);
    this.#givenUp.clear();
  }

  nextTimeout(): Millis | undefined {
    return this.#quarantine.nextTimeout();
  }

  /** Ascending by victim; also those that are over but that somebody never heard of. */
  status(now: Millis): TakeOverStatus[] {
    const lines = new Map(
      this.#quarantine.status(this.#ports.holdings.ownSpans, now).map((line) => [line.from, line]),
    );
    for (const [from, names] of this.#givenUp) {
      const line = lines.get(from) ?? { from, addresses: 0, waitingFor: [], restSeconds: 0 };
      lines.set(from, { ...line, givenUp: [...names].sort(compareNames) });
    }
    return [...lines.values()].sort((a, b) => compareNames(a.from, b.from));
  }

  /** Who is in reach again learns of the take-over from the ring. */
  #forgetHeard(known: ReadonlyMap<PeerName, IpamPeer>): void {
    for (const victim of this.#givenUp.keys()) {
      this.#forgetGivenUp(victim, (name) => known.get(name)?.reachable === true);
    }
  }

  #forgetGivenUp(victim: PeerName, isOver: (name: PeerName) => boolean): void {
    const names = [...this.#givenUp.get(victim)!].filter((name) => !isOver(name));
    if (names.length === 0) this.#givenUp.delete(victim);
    else this.#givenUp.set(victim, new Set(names));
  }

  #begin(takeOver: Omit<TakeOver, 'id'>, now: Millis): void {
    const id = newTakeOverId(this.#ports.random);
    this.#quarantine.add({ ...takeOver, id }, now);
    this.#dueAt = -Infinity;
    this.#store(id, { ...takeOver, id });
  }

  #store(id: string, takeOver: TakeOver | undefined): void {
    const { key } = takeOverChange(id, undefined);
    // Written anew for each acknowledgement, and packed once per transaction.
    this.#ports.queue.write(key, () => takeOverChange(id, takeOver).value);
  }

  /** What was taken is durable before anybody is told. */
  #sendAll(messages: QuarantineStep['send']): void {
    for (const { to, takeOver } of messages) {
      this.#ports.sendAllDurable(to, { type: 'take-over', id: takeOver.id, ring: takeOver.ring });
    }
  }

  /** Who has to acknowledge: whoever is in reach and may belong to this cluster; if `strict`, every owner too. */
  #witnesses(strict: boolean): Owner[] {
    const { holdings, peers } = this.#ports;
    const out = new Map<PeerName, Owner>();
    if (strict) {
      for (const { owner, generation } of holdings.ring) out.set(owner, { owner, generation });
    }
    for (const peer of peers()) {
      const { name, generation } = peer;
      if (peer.reachable && generation !== '' && !isElsewhere(peer, holdings.clusterId)) {
        out.set(name, { owner: name, generation });
      }
    }
    out.delete(holdings.self.owner);
    return [...out.values()].sort((a, b) => compareNames(a.owner, b.owner));
  }

  /** Other owners that nobody can ask now. */
  #outOfReach(victim: PeerName): PeerName[] {
    const { holdings, peers } = this.#ports;
    const reachable = new Set(
      peers()
        .filter((peer) => peer.reachable)
        .map(({ name }) => name),
    );
    const owners = new Set(holdings.ring.map(({ owner }) => owner));
    return [...owners]
      .filter((name) => name !== victim && name !== holdings.self.owner && !reachable.has(name))
      .sort(compareNames);
  }
}

/** Does the owner of `value` announce this very generation in this cluster? */
export function isServed(
  value: Pick<RingValue, 'generation'>,
  peer: IpamPeer | undefined,
  clusterId: string | undefined,
): boolean {
  if (peer?.reachable !== true || peer.generation === '' || isElsewhere(peer, clusterId)) return false;
  return value.generation === NO_GENERATION || value.generation === peer.generation;
}
