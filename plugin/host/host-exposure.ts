import { cidrContains, formatCidr, networkOf } from '../../core/address.ts';
import type { Cidr, IpAddress } from '../../core/address.ts';
import type { Log } from '../../core/log.ts';
import { argumentNames } from './address-argument.ts';
import type { AddressArgument } from './address-argument.ts';
import { acquireInto, includesIp } from './address-lease.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import { EXPOSE_ID } from './attachment-record.ts';
import { HostError, messageOf } from './host-error.ts';
import type { AddressPort, AttachmentResult, HostPort } from './host-port.ts';
import type { MacText } from './mac-address.ts';
import type { RecordBook } from './record-book.ts';
import { Turns } from './turns.ts';

export interface BridgeIdentity {
  readonly bridge: string;
  readonly mac: MacText;
  /** Bytes. */
  readonly mtu: number;
  readonly defaultSubnet: Cidr;
}

export interface ExposureOptions extends BridgeIdentity {
  readonly host: HostPort;
  readonly addresses: AddressPort;
  readonly log: Log;
}

/** Through which an attached namespace leaves its subnet. */
export interface Gateway {
  readonly ip: IpAddress;
  /** Sentences for the operator. */
  readonly notes: readonly string[];
}

interface ExposeOrder {
  /** What is asked for; what is there already counts too. */
  readonly named: readonly AddressArgument[];
  readonly masquerade: boolean;
  readonly signal: AbortSignal | undefined;
  /** Has somebody else done it meanwhile? */
  readonly isDone: () => boolean;
}

/**
 * The host's own addresses on the mesh: `expose` and `hide`. Calls may overlap: what changes record and kernel does so
 * one after the other, and nobody waits while another waits for an address.
 */
export class HostExposure {
  readonly #options: ExposureOptions;
  readonly #records: RecordBook;
  readonly #turns = new Turns(1);
  /** Those that may have got addresses that are not recorded yet. */
  readonly #underWay = new Set<ExposeOrder>();

  constructor(options: ExposureOptions, records: RecordBook) {
    this.#options = options;
    this.#records = records;
  }

  /** Without arguments: an address of the default subnet, or the addresses there are. Repeating it changes nothing. */
  async expose(
    wanted: readonly AddressArgument[],
    masquerade: boolean,
    signal: AbortSignal | undefined,
  ): Promise<AttachmentResult> {
    const isNothing = wanted.length === 0 && this.#record().addresses.length === 0;
    const named = isNothing ? [{ kind: 'allocate' } as const] : wanted;
    const notes = await this.#do({ named, masquerade, signal, isDone: () => false });
    return this.#result(this.#record(), notes);
  }

  /** Takes away the named addresses, or all. Resolves to those that were taken, also by a hide that failed halfway. */
  hide(named: readonly AddressArgument[]): Promise<string[]> {
    const { defaultSubnet } = this.#options;
    const isNamed = (cidr: Cidr): boolean =>
      named.length === 0 || named.some((argument) => argumentNames(argument, cidr, defaultSubnet));
    return this.#turns.take(async () => {
      const before = this.#record();
      const remove = [...before.addresses.filter(isNamed), ...(await this.#strays(before))];
      if (remove.length === 0) return [];
      const after = {
        ...before,
        addresses: before.addresses.filter((cidr) => !isNamed(cidr)),
        masquerade: before.masquerade.filter((cidr) => !isNamed(cidr)),
      };
      await this.#records.put({ ...after, pending: true });
      await this.#settle(after, remove);
      return remove.filter(isNamed).map(formatCidr);
    });
  }

  /** The host's address in the subnet of `cidr`, exposed for the purpose if there was none. */
  async gatewayFor(cidr: Cidr, signal: AbortSignal | undefined): Promise<Gateway> {
    const existing = this.#addressIn(cidr);
    if (existing !== undefined) return { ip: existing, notes: [] };
    const named = [{ kind: 'allocate', subnet: { ip: networkOf(cidr), prefix: cidr.prefix } } as const];
    const isDone = (): boolean => this.#addressIn(cidr) !== undefined;
    const notes = await this.#do({ named, masquerade: true, signal, isDone });
    return { ip: this.#addressIn(cidr) ?? hiddenMeanwhile(), notes };
  }

  /** Applies what was exposed before a restart, and ends a change that the end of the daemon cut short. */
  readopt(): Promise<void> {
    return this.#turns.take(async () => {
      const record = this.#records.get(EXPOSE_ID);
      if (record !== undefined) await this.#settle(record, await this.#strays(record));
    });
  }

  /** Resolves to notes for the operator. */
  async #do(order: ExposeOrder): Promise<string[]> {
    const { addresses } = this.#options;
    const before = await this.#turns.take(() => this.#begin(order));
    const fresh: Cidr[] = [];
    try {
      await acquireInto(fresh, addresses, EXPOSE_ID, order.named, before.addresses, order.signal);
      return await this.#turns.take(() => this.#complete(order, fresh));
    } catch (error) {
      await this.#turns.take(() => this.#undo(order));
      throw error;
    }
  }

  async #begin(order: ExposeOrder): Promise<AttachmentRecord> {
    const before = this.#record();
    if (!before.pending) await this.#records.put({ ...before, pending: true });
    this.#underWay.add(order);
    return before;
  }

  async #complete(order: ExposeOrder, fresh: readonly Cidr[]): Promise<string[]> {
    this.#underWay.delete(order);
    if (order.isDone() && this.#underWay.size > 0) return [];
    const held = await this.#options.addresses.lookup(EXPOSE_ID);
    if (!fresh.every((cidr) => includesIp(held, cidr))) hiddenMeanwhile();
    const before = this.#record();
    const addresses = [...before.addresses, ...fresh.filter((cidr) => !includesIp(before.addresses, cidr))];
    const after = this.#withMasquerade({ ...before, addresses }, order);
    return this.#settle(after, await this.#strays(after));
  }

  /** The kernel first: an address is given back only when it is in use no more. Resolves to notes for the operator. */
  async #settle(after: AttachmentRecord, remove: readonly Cidr[]): Promise<string[]> {
    const notes = await this.#options.host.expose({ ...after, remove });
    for (const cidr of remove) await this.#options.addresses.release(EXPOSE_ID, cidr);
    const pending = this.#underWay.size > 0;
    if (after.addresses.length === 0 && !pending) await this.#records.delete(EXPOSE_ID);
    else await this.#records.put({ ...after, pending });
    return notes;
  }

  /** If undoing fails too, the record stays pending and the next change or start ends it. */
  async #undo(order: ExposeOrder): Promise<void> {
    this.#underWay.delete(order);
    // Whoever is left may have been given the same address, and sees to what is nobody's.
    if (this.#underWay.size > 0) return;
    try {
      const before = this.#record();
      await this.#settle(before, await this.#strays(before));
    } catch (error) {
      this.#options.log.log('warn', 'a failed expose could not be undone', { error: messageOf(error) });
    }
  }

  /** What the allocator has given beyond the record: also to who gave up waiting for it. */
  async #strays({ addresses, pending }: AttachmentRecord): Promise<Cidr[]> {
    if (!pending || this.#underWay.size > 0) return [];
    const held = await this.#options.addresses.lookup(EXPOSE_ID);
    return held.filter((cidr) => !includesIp(addresses, cidr));
  }

  #addressIn(cidr: Cidr): IpAddress | undefined {
    return this.#record().addresses.find((own) => own.prefix === cidr.prefix && cidrContains(cidr, own.ip))
      ?.ip;
  }

  #withMasquerade(record: AttachmentRecord, { named, masquerade }: ExposeOrder): AttachmentRecord {
    const { defaultSubnet } = this.#options;
    const concerned = record.addresses.filter(
      (cidr) => named.length === 0 || named.some((argument) => argumentNames(argument, cidr, defaultSubnet)),
    );
    const others = record.masquerade.filter((cidr) => !includesIp(concerned, cidr));
    return { ...record, masquerade: masquerade ? [...others, ...concerned] : others };
  }

  #record(): AttachmentRecord {
    const { bridge, mac } = this.#options;
    const existing = this.#records.get(EXPOSE_ID);
    const empty = { target: 'host', hostInterface: '', addresses: [], masquerade: [], pending: false };
    return { ...(existing ?? empty), id: EXPOSE_ID, interface: bridge, mac };
  }

  #result(record: AttachmentRecord, notes: readonly string[]): AttachmentResult {
    const { bridge, mac, mtu } = this.#options;
    return { id: EXPOSE_ID, addresses: record.addresses.map(formatCidr), interface: bridge, mac, mtu, notes };
  }
}

function hiddenMeanwhile(): never {
  throw new HostError('what was to be exposed was hidden meanwhile: expose it again');
}
