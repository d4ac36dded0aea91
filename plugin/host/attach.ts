import { formatCidr } from '../../core/address.ts';
import type { Cidr, IpAddress } from '../../core/address.ts';
import type { Log } from '../../core/log.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { argumentNames } from './address-argument.ts';
import type { AddressArgument } from './address-argument.ts';
import { acquire, includesIp } from './address-lease.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import { HostError, messageOf } from './host-error.ts';
import type { BridgeIdentity } from './host-exposure.ts';
import type { AddressPort, AttachmentResult, HostPort } from './host-port.ts';
import { attachmentMac, hostInterfaceName } from './mac-address.ts';
import type { Namespace } from './namespace.ts';
import type { PortPlan } from './port.ts';
import type { RecordBook } from './record-book.ts';

export interface AttacherOptions extends BridgeIdentity {
  readonly peer: PeerName;
  readonly host: HostPort;
  readonly addresses: AddressPort;
  readonly log: Log;
}

export interface AttachOrder {
  readonly target: string;
  readonly wanted: readonly AddressArgument[];
  /** Undefined = ethwe, or the one that the attachment has. */
  readonly interface: string | undefined;
  /** Finds the gateway of a default route; undefined = no such route. */
  readonly gateway: ((cidr: Cidr) => Promise<Gateway>) | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface Gateway {
  readonly ip: IpAddress;
  readonly notes: readonly string[];
}

const DEFAULT_INTERFACE = 'ethwe';

/**
 * One attachment's way through record, IPAM and kernel. Each step ends with all three in agreement or with none
 * changed: the record is marked pending first, so that what a crash cuts short is ended at the next start.
 * The caller sees to it that steps of the same id do not overlap.
 */
export class Attacher {
  readonly #options: AttacherOptions;
  readonly #records: RecordBook;

  constructor(options: AttacherOptions, records: RecordBook) {
    this.#options = options;
    this.#records = records;
  }

  /** A new interface, the missing half of one, or further addresses and a default route for the one there is. */
  async attach(namespace: Namespace, order: AttachOrder): Promise<AttachmentResult> {
    const before = this.#records.get(namespace.id);
    const present = before !== undefined && (await this.#options.host.ports()).has(before.hostInterface);
    try {
      if (before === undefined || before.pending || !present)
        return await this.#make(namespace, order, before);
      return await this.#extend(namespace, order, before);
    } catch (error) {
      throw new HostError(`cannot attach ${order.target}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Takes away the addresses that `named` names, or everything if it is empty. Resolves to what was taken. */
  async detach(
    id: string,
    namespace: Namespace | undefined,
    named: readonly AddressArgument[],
  ): Promise<string[]> {
    const record = this.#records.get(id);
    if (record === undefined) return [];
    const { defaultSubnet } = this.#options;
    const isNamed = (cidr: Cidr): boolean =>
      named.length === 0 || named.some((argument) => argumentNames(argument, cidr, defaultSubnet));
    const taken = record.addresses.filter(isNamed);
    const rest = record.addresses.filter((cidr) => !isNamed(cidr));
    if (named.length > 0 && taken.length === 0) return [];
    if (rest.length === 0) await this.remove(record);
    else await this.#takeAddresses(record, namespace, taken, rest);
    return taken.map(formatCidr);
  }

  /** Interface, addresses and record, whatever of them there is. */
  async remove(record: AttachmentRecord): Promise<void> {
    await this.#records.put({ ...record, addresses: [], pending: true });
    await this.#options.host.unplug(record.hostInterface);
    await this.#options.addresses.release(record.id);
    await this.#records.delete(record.id);
  }

  /** Ends a change that the end of the daemon cut short: backwards where addresses came, forwards where they went. */
  async endPending(record: AttachmentRecord): Promise<void> {
    if (record.addresses.length === 0) return this.remove(record);
    const { host, addresses } = this.#options;
    const held = await addresses.lookup(record.id);
    const stray = held.filter((cidr) => !includesIp(record.addresses, cidr));
    if ((await host.ports()).has(record.hostInterface)) await this.#clearStray(record, stray);
    for (const cidr of stray) await addresses.release(record.id, cidr);
    await this.#records.put({ ...record, pending: false });
  }

  async #make(
    namespace: Namespace,
    order: AttachOrder,
    before: AttachmentRecord | undefined,
  ): Promise<AttachmentResult> {
    const held = before?.addresses ?? [];
    const wanted =
      order.wanted.length > 0 || held.length > 0 ? order.wanted : [{ kind: 'allocate' } as const];
    const record = this.#newRecord(namespace.id, order, held);
    await this.#records.put(record);
    let fresh: readonly Cidr[] = [];
    try {
      fresh = await acquire(this.#options.addresses, record.id, wanted, held, order.signal);
      const complete = { ...record, addresses: [...held, ...fresh], pending: false };
      const gateway = await order.gateway?.(complete.addresses[0]!);
      await this.#options.host.plug(this.#plan(complete, gateway?.ip), namespace);
      await this.#records.put(complete);
      return this.#result(complete, gateway?.notes ?? []);
    } catch (error) {
      await this.#undo(fresh, before, record, () => this.#options.host.unplug(record.hostInterface));
      throw error;
    }
  }

  async #extend(
    namespace: Namespace,
    order: AttachOrder,
    before: AttachmentRecord,
  ): Promise<AttachmentResult> {
    const { host, addresses } = this.#options;
    checkExtension(order, before);
    await this.#records.put({ ...before, pending: true });
    let fresh: readonly Cidr[] = [];
    try {
      fresh = await acquire(addresses, before.id, order.wanted, before.addresses, order.signal);
      if (fresh.length === 0 && order.gateway === undefined) throw alreadyAttached(before);
      const complete = { ...before, addresses: [...before.addresses, ...fresh] };
      const gateway = await order.gateway?.(fresh[0] ?? before.addresses[0]!);
      await host.extend(namespace, this.#plan(complete, gateway?.ip), fresh);
      await this.#records.put(complete);
      return this.#result(complete, gateway?.notes ?? []);
    } catch (error) {
      const clear = (): Promise<void> => host.removeAddresses(namespace, before.interface, fresh);
      await this.#undo(fresh, before, before, clear);
      throw error;
    }
  }

  /** If undoing fails too, the record stays pending: `ps` shows it as incomplete, and the next start or attach ends it. */
  async #undo(
    fresh: readonly Cidr[],
    before: AttachmentRecord | undefined,
    record: AttachmentRecord,
    clear: () => Promise<void>,
  ): Promise<void> {
    try {
      await clear();
      for (const cidr of fresh) await this.#options.addresses.release(record.id, cidr);
      await this.#records.restore(record.id, before);
    } catch (error) {
      const fields = { id: record.id, error: messageOf(error) };
      this.#options.log.log('warn', 'a failed attach could not be undone', fields);
    }
  }

  async #takeAddresses(
    record: AttachmentRecord,
    namespace: Namespace | undefined,
    taken: readonly Cidr[],
    rest: readonly Cidr[],
  ): Promise<void> {
    const { host, addresses } = this.#options;
    if (namespace === undefined && (await host.ports()).has(record.hostInterface)) {
      throw new HostError(`the namespace ${record.target} cannot be found any more: detach it as a whole`);
    }
    await this.#records.put({ ...record, addresses: rest, pending: true });
    if (namespace !== undefined) await host.removeAddresses(namespace, record.interface, taken);
    for (const cidr of taken) await addresses.release(record.id, cidr);
    await this.#records.put({ ...record, addresses: rest, pending: false });
  }

  /** Where the namespace cannot be found again, whoever is in it keeps an address that is no longer its own. */
  async #clearStray(record: AttachmentRecord, stray: readonly Cidr[]): Promise<void> {
    const { host, log } = this.#options;
    const namespace = await host.open(record.target).catch(() => undefined);
    try {
      if (namespace?.id === record.id) return await host.removeAddresses(namespace, record.interface, stray);
      const fields = { id: record.id, addresses: stray.map(formatCidr) };
      if (stray.length > 0) log.log('warn', 'released addresses may still be on an interface', fields);
    } finally {
      await namespace?.close();
    }
  }

  #newRecord(id: string, order: AttachOrder, addresses: readonly Cidr[]): AttachmentRecord {
    const before = this.#records.get(id);
    const name = order.interface ?? before?.interface ?? DEFAULT_INTERFACE;
    return {
      id,
      target: order.target,
      interface: name,
      hostInterface: hostInterfaceName(id),
      mac: attachmentMac(this.#options.peer, id, name),
      addresses,
      masquerade: [],
      pending: true,
    };
  }

  #plan(record: AttachmentRecord, gateway: IpAddress | undefined): PortPlan {
    const { hostInterface, mac, addresses } = record;
    return { hostInterface, interface: record.interface, mac, mtu: this.#options.mtu, addresses, gateway };
  }

  #result(record: AttachmentRecord, notes: readonly string[]): AttachmentResult {
    const { id, mac } = record;
    const addresses = record.addresses.map(formatCidr);
    return { id, addresses, interface: record.interface, mac, mtu: this.#options.mtu, notes };
  }
}

function checkExtension(order: AttachOrder, before: AttachmentRecord): void {
  if (order.interface !== undefined && order.interface !== before.interface) {
    throw new HostError(`it is attached as ${before.interface}, and further addresses go there`);
  }
  if (order.wanted.length === 0 && order.gateway === undefined) throw alreadyAttached(before);
}

function alreadyAttached(record: AttachmentRecord): HostError {
  const addresses = record.addresses.map(formatCidr).join(', ');
  return new HostError(`it is attached already, with ${addresses} on ${record.interface}`);
}
