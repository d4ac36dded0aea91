import { cidrContains, formatCidr, networkOf } from '../../core/address.ts';
import type { Cidr, IpAddress } from '../../core/address.ts';
import type { Log } from '../../core/log.ts';
import { argumentNames } from './address-argument.ts';
import type { AddressArgument } from './address-argument.ts';
import { acquire, includesIp } from './address-lease.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import { EXPOSE_ID } from './attachment-record.ts';
import { messageOf } from './host-error.ts';
import type { AddressPort, AttachmentResult, HostPort } from './host-port.ts';
import type { MacText } from './mac-address.ts';
import type { RecordBook } from './record-book.ts';

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

/** The host's own addresses on the mesh: `expose` and `hide`. The caller sees to it that calls do not overlap. */
export class HostExposure {
  readonly #options: ExposureOptions;
  readonly #records: RecordBook;

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
    const before = this.#record();
    const named = wanted.length > 0 || before.addresses.length > 0 ? wanted : [{ kind: 'allocate' } as const];
    await this.#records.put({ ...before, pending: true });
    try {
      const fresh = await acquire(this.#options.addresses, EXPOSE_ID, named, before.addresses, signal);
      const after = this.#withMasquerade(
        { ...before, addresses: [...before.addresses, ...fresh] },
        named,
        masquerade,
      );
      const notes = await this.#options.host.expose({ ...after, remove: [] });
      await this.#records.put(after);
      return this.#result(after, notes);
    } catch (error) {
      await this.#undo(before);
      throw error;
    }
  }

  /** Takes away the named addresses, or all. Resolves to those that were taken. */
  async hide(named: readonly AddressArgument[]): Promise<string[]> {
    const before = this.#record();
    const { defaultSubnet } = this.#options;
    const isNamed = (cidr: Cidr): boolean =>
      named.length === 0 || named.some((argument) => argumentNames(argument, cidr, defaultSubnet));
    const remove = before.addresses.filter(isNamed);
    if (remove.length === 0) return [];
    const after = {
      ...before,
      addresses: before.addresses.filter((cidr) => !isNamed(cidr)),
      masquerade: before.masquerade.filter((cidr) => !isNamed(cidr)),
    };
    await this.#records.put({ ...after, pending: true });
    await this.#settle(after, remove);
    return remove.map(formatCidr);
  }

  /** The host's address in the subnet of `cidr`, exposed for the purpose if there was none. */
  async gatewayFor(
    cidr: Cidr,
    signal: AbortSignal | undefined,
  ): Promise<{ ip: IpAddress; notes: readonly string[] }> {
    const existing = this.gatewayIn(cidr);
    if (existing !== undefined) return existing;
    const subnet = { ip: networkOf(cidr), prefix: cidr.prefix };
    const { notes } = await this.expose([{ kind: 'allocate', subnet }], true, signal);
    return { ip: this.gatewayIn(cidr)!.ip, notes };
  }

  /** The host's address in the subnet of `cidr`, if it has one; may be asked while calls are under way. */
  gatewayIn(cidr: Cidr): { ip: IpAddress; notes: readonly string[] } | undefined {
    const inSubnet = (own: Cidr): boolean => own.prefix === cidr.prefix && cidrContains(cidr, own.ip);
    const own = this.#record().addresses.find(inSubnet);
    return own === undefined ? undefined : { ip: own.ip, notes: [] };
  }

  /** Applies what was exposed before a restart, and ends a change that the end of the daemon cut short. */
  async readopt(): Promise<void> {
    const record = this.#records.get(EXPOSE_ID);
    if (record === undefined) return;
    await this.#settle(record, record.pending ? await this.#strays(record) : []);
  }

  /** The kernel first: an address is given back only when it is in use no more. */
  async #settle(after: AttachmentRecord, remove: readonly Cidr[]): Promise<void> {
    await this.#options.host.expose({ ...after, remove });
    for (const cidr of remove) await this.#options.addresses.release(EXPOSE_ID, cidr);
    if (after.addresses.length === 0) await this.#records.delete(EXPOSE_ID);
    else await this.#records.put({ ...after, pending: false });
  }

  /** If undoing fails too, the record stays pending and the next start ends it. */
  async #undo(before: AttachmentRecord): Promise<void> {
    try {
      await this.#settle(before, await this.#strays(before));
    } catch (error) {
      this.#options.log.log('warn', 'a failed expose could not be undone', { error: messageOf(error) });
    }
  }

  /** What the allocator has given beyond the record: also to who gave up waiting for it. */
  async #strays({ addresses }: AttachmentRecord): Promise<Cidr[]> {
    const held = await this.#options.addresses.lookup(EXPOSE_ID);
    return held.filter((cidr) => !includesIp(addresses, cidr));
  }

  #withMasquerade(
    record: AttachmentRecord,
    named: readonly AddressArgument[],
    masquerade: boolean,
  ): AttachmentRecord {
    const { defaultSubnet } = this.#options;
    const concerned = record.addresses.filter(
      (cidr) => named.length === 0 || named.some((argument) => argumentNames(argument, cidr, defaultSubnet)),
    );
    const others = record.masquerade.filter((cidr) => !includesIp(concerned, cidr));
    return { ...record, masquerade: masquerade ? [...others, ...concerned] : others, pending: false };
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
