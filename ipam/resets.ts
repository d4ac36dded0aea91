import type { Millis } from '../core/time.ts';
import { earlier, MINUTE } from '../core/time.ts';
import { Departure, heirs, ownQuarantine } from './departure.ts';
import type { IpamResult, OperatorRequest } from './effects.ts';
import type { IpamPorts } from './ports.ts';
import { spanSize, withoutSpans } from './range.ts';

const PATIENCE: Millis = 1 * MINUTE;

interface Reset {
  readonly request: number;
  readonly since: Millis;
  readonly released: number;
  readonly departure: Departure;
}

interface ResetAnswer {
  readonly request: number;
  readonly result: IpamResult;
}

/** `reset`: this peer gives up all addresses and goes on as a member that owns nothing. One at a time. */
export class Resets {
  readonly #ports: IpamPorts;
  #reset: Reset | undefined;

  constructor(ports: IpamPorts) {
    this.#ports = ports;
  }

  get departure(): Departure | undefined {
    return this.#reset?.departure;
  }

  /** Returns what is to be answered at once. `forgetRing` gives up the ring of a peer that is alone, unless that has to stay. */
  start(
    request: number,
    { force, probe }: Extract<OperatorRequest, { type: 'reset' }>,
    forgetRing: () => boolean,
    now: Millis,
  ): ResetAnswer[] {
    if (!force) {
      const result = this.#begin(request, probe === true, now);
      return result === undefined ? [] : [{ request, result }];
    }
    if (probe === true) return [{ request, result: { type: 'done' } }];
    const answers = this.#replaced();
    return [...answers, { request, result: this.#force(forgetRing, now) }];
  }

  /** Whoever asked has gone: what is written stays so. */
  cancel(request: number): void {
    if (this.#reset?.request === request && !this.#reset.departure.isWritten) this.#reset = undefined;
  }

  step(now: Millis): ResetAnswer | undefined {
    if (this.#reset === undefined) return undefined;
    const { request, since, released, departure } = this.#reset;
    const end = departure.step(now);
    const overdue = now >= since + PATIENCE;
    if (end === undefined && !overdue) return undefined;
    this.#reset = undefined;
    if (end?.type === 'left') {
      const { addresses, heir } = end;
      const { name, nickname } = heir;
      return { request, result: { type: 'reset', reset: { addresses, heir: name, nickname, released } } };
    }
    const reason = end?.reason ?? `no heir confirmed it within ${PATIENCE / 1_000} s`;
    return { request, result: { type: 'failed', error: `${reason}: run reset again, or reset --force` } };
  }

  nextTimeout(): Millis | undefined {
    if (this.#reset === undefined) return undefined;
    return earlier(this.#reset.since + PATIENCE, this.#reset.departure.nextTimeout());
  }

  #begin(request: number, probe: boolean, now: Millis): IpamResult | undefined {
    if (this.#reset !== undefined) return { type: 'failed', error: 'a reset is under way already' };
    const { holdings } = this.#ports;
    const released = holdings.allocations.active;
    const owned = spanSize(holdings.ownSpans);
    if (owned > 0 && heirs(this.#ports).length === 0) return { type: 'failed', error: noHeir(owned) };
    const resting = spanSize(ownQuarantine(this.#ports));
    if (resting > 0) return { type: 'failed', error: inQuarantine(resting) };
    if (probe) return { type: 'done' };
    if (owned === 0) {
      this.#releaseAll(now);
      return { type: 'reset', reset: { addresses: 0, heir: '', nickname: '', released } };
    }
    const departure = new Departure(this.#ports, holdings.allocations.list());
    this.#reset = { request, since: now, released, departure };
    return undefined;
  }

  #replaced(): ResetAnswer[] {
    if (this.#reset === undefined) return [];
    const { request } = this.#reset;
    this.#reset = undefined;
    return [{ request, result: { type: 'failed', error: 'replaced by reset --force' } }];
  }

  /** Gives up everything without waiting for anybody; but what is in quarantine stays there, as its heir would give it out. */
  #force(forgetRing: () => boolean, now: Millis): IpamResult {
    const { holdings } = this.#ports;
    const released = holdings.allocations.active;
    const owned = spanSize(holdings.ownSpans);
    const [heir] = heirs(this.#ports);
    this.#releaseAll(now);
    if (heir === undefined) {
      const addresses = forgetRing() ? owned : 0;
      return { type: 'reset', reset: { addresses, heir: '', nickname: '', released } };
    }
    const given = withoutSpans(holdings.ownSpans, this.#ports.quarantine());
    const { name, nickname, generation } = heir;
    if (given.length > 0) holdings.donate(given, { owner: name, generation });
    return { type: 'reset', reset: { addresses: spanSize(given), heir: name, nickname, released } };
  }

  #releaseAll(now: Millis): void {
    const { holdings } = this.#ports;
    for (const { id } of holdings.allocations.list()) holdings.release(id, undefined, now);
  }
}

function noHeir(addresses: number): string {
  const what = `no other peer of this cluster is in reach to take the ${addresses} addresses of this host`;
  return `${what}: connect it to one, or give them up with reset --force`;
}

function inQuarantine(addresses: number): string {
  const what = `${addresses} ${addresses === 1 ? 'address' : 'addresses'} of this host are in quarantine`;
  return `${what}, and nobody may be given them yet: run reset again when that is over (status ipam), or reset --force, which keeps them here`;
}
