import { formatCidr } from '../../core/address.ts';
import type { Cidr, IpAddress } from '../../core/address.ts';
import type { Log } from '../../core/log.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { argumentNames } from './address-argument.ts';
import type { AddressArgument } from './address-argument.ts';
import { acquire, includesIp } from './address-lease.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import { HostError, InterfaceExists, messageOf } from './host-error.ts';
import type { BridgeIdentity, Gateway } from './host-exposure.ts';
import type { AddressPort, HostPort } from './host-port.ts';
import { attachmentMac, hostInterfaceName } from './mac-address.ts';
import type { Namespace } from './namespace.ts';
import type { PortPlan, PortRoute } from './port.ts';
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
  /** Finds the gateway of the routes; undefined = no routes. */
  readonly gateway: ((cidr: Cidr) => Promise<Gateway>) | undefined;
  readonly signal: AbortSignal | undefined;
  readonly pod?: PodPort | undefined;
}

/** What sets the interface of a pod apart from that of `attach`. */
export interface PodPort {
  /** Under which it is recorded, and its addresses are allocated. */
  readonly id: string;
  /** Bytes; undefined = the bridge's. */
  readonly mtu: number | undefined;
  /** May frames go back out of the port that they came in by? */
  readonly hairpin: boolean;
  /** Undefined = the host's address on the bridge. */
  readonly gateway: IpAddress | undefined;
  /** Undefined = a default route. */
  readonly routes: ((gateway: IpAddress) => readonly PortRoute[]) | undefined;
}

/** An attachment as it is now. */
export interface Attached {
  readonly record: AttachmentRecord;
  readonly plan: PortPlan;
  readonly gateway: IpAddress | undefined;
  /** Sentences for the operator. */
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
  async attach(namespace: Namespace, order: AttachOrder): Promise<Attached> {
    const before = this.#records.get(namespace.id);
    const present =
      before !== undefined && (await this.#options.host.present([before.hostInterface])).size > 0;
    try {
      if (before === undefined) return await this.#make(namespace, order, undefined);
      if (!before.pending && present) return await this.#extend(namespace, order, before);
      // The kernel gives the number of a namespace that is gone to the next one, whose addresses these are not.
      const isOther = !present && order.target !== before.target;
      if (isOther) await this.remove(before);
      return await this.#make(namespace, order, isOther ? undefined : before);
    } catch (error) {
      throw new HostError(`cannot attach ${order.target}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** The interface of a pod, which must not be there yet; what is left of a former one is removed first. */
  async attachPod(namespace: Namespace, order: AttachOrder & { readonly pod: PodPort }): Promise<Attached> {
    const before = this.#records.get(order.pod.id);
    if (before !== undefined) {
      const isThere = !before.pending && (await this.#options.host.present([before.hostInterface])).size > 0;
      if (isThere) throw new InterfaceExists(`the pod has an interface ${before.interface} already`);
      await this.remove(before);
    }
    const made = await this.#make(namespace, order, undefined);
    if (order.signal?.aborted !== true) return made;
    await this.remove(made.record);
    throw new HostError('the runtime gave up before it had the answer');
  }

  /** Addresses for an interface that another plugin makes: a record without a port of ours. */
  async lease(
    id: string,
    target: string,
    order: Pick<AttachOrder, 'wanted' | 'signal' | 'interface'>,
  ): Promise<AttachmentRecord> {
    const before = this.#records.get(id);
    if (before !== undefined && !before.pending) return before;
    const fresh = this.#newRecord(id, { ...order, target, gateway: undefined }, []);
    const record = { ...fresh, hostInterface: '' };
    await this.#records.put(record);
    try {
      const addresses = await acquire(this.#options.addresses, id, order.wanted, [], order.signal);
      const complete = { ...record, addresses, pending: false };
      await this.#records.put(complete);
      return complete;
    } catch (error) {
      await this.#undo(undefined, record, () => Promise.resolve());
      throw error;
    }
  }

  /** Takes away the addresses that `named` names, or everything if it is empty. Resolves to what was taken. */
  async detach(
    id: string,
    namespace: Namespace | undefined,
    named: readonly AddressArgument[],
  ): Promise<string[]> {
    const { defaultSubnet } = this.#options;
    const isNamed = (cidr: Cidr): boolean =>
      named.length === 0 || named.some((argument) => argumentNames(argument, cidr, defaultSubnet));
    const before = this.#records.get(id);
    // What an earlier detach was to take and did not is in no record any more.
    const strays = before?.pending === true && named.length > 0 ? await this.endPending(before) : [];
    const record = this.#records.get(id);
    const taken = record?.addresses.filter(isNamed) ?? [];
    const rest = record?.addresses.filter((cidr) => !isNamed(cidr)) ?? [];
    if (record !== undefined && (named.length === 0 || taken.length > 0)) {
      if (rest.length === 0) await this.remove(record);
      else await this.#takeAddresses(record, namespace, taken, rest);
    }
    return [...strays.filter(isNamed), ...taken].map(formatCidr);
  }

  /** Interface, addresses and record, whatever of them there is. */
  async remove(record: AttachmentRecord): Promise<void> {
    const { host, addresses } = this.#options;
    const unplugged = record.hostInterface === '' ? undefined : host.unplug(record.hostInterface);
    await bothDone(unplugged, this.#records.put({ ...record, addresses: [], pending: true }));
    await addresses.release(record.id);
    await this.#records.delete(record.id);
  }

  /**
   * Ends a change that was cut short: backwards where addresses came, forwards where they went. Resolves to the addresses
   * that were taken away.
   */
  async endPending(record: AttachmentRecord): Promise<Cidr[]> {
    const { host, addresses } = this.#options;
    const held = await addresses.lookup(record.id);
    const stray = held.filter((cidr) => !includesIp(record.addresses, cidr));
    if (record.addresses.length === 0) {
      await this.remove(record);
      return stray;
    }
    if ((await host.present([record.hostInterface])).size > 0) await this.#clearStray(record, stray);
    for (const cidr of stray) await addresses.release(record.id, cidr);
    await this.#records.put({ ...record, pending: false });
    return stray;
  }

  async #make(
    namespace: Namespace,
    order: AttachOrder,
    before: AttachmentRecord | undefined,
  ): Promise<Attached> {
    const held = before?.addresses ?? [];
    const wanted =
      order.wanted.length > 0 || held.length > 0 ? order.wanted : [{ kind: 'allocate' } as const];
    const { host, addresses } = this.#options;
    const record = this.#newRecord(identityOf(namespace, order), order, held);
    try {
      // The store commits in the order of the calls: the record is there before an address is given under its id.
      const begun = this.#records.begin(record);
      const [fresh] = await bothDone(acquire(addresses, record.id, wanted, held, order.signal), begun);
      const complete = { ...record, addresses: [...held, ...fresh], pending: false };
      const gateway = await order.gateway?.(complete.addresses[0]!);
      const plan = this.#plan(complete, order, gateway?.ip);
      await host.plug(plan, namespace);
      await bothDone(host.announce(plan, namespace), this.#records.put(complete));
      return attached(complete, plan, gateway);
    } catch (error) {
      await this.#undo(before, record, () => host.unplug(record.hostInterface));
      throw error;
    }
  }

  async #extend(namespace: Namespace, order: AttachOrder, before: AttachmentRecord): Promise<Attached> {
    const { host, addresses } = this.#options;
    checkExtension(order, before);
    await this.#records.put({ ...before, pending: true });
    let fresh: readonly Cidr[] = [];
    try {
      fresh = await acquire(addresses, before.id, order.wanted, before.addresses, order.signal);
      if (fresh.length === 0 && order.gateway === undefined) throw alreadyAttached(before);
      const complete = { ...before, addresses: [...before.addresses, ...fresh] };
      const gateway = await order.gateway?.(fresh[0] ?? before.addresses[0]!);
      const plan = this.#plan(complete, order, gateway?.ip);
      await host.extend(namespace, plan, fresh);
      await this.#records.put(complete);
      return attached(complete, plan, gateway);
    } catch (error) {
      const clear = (): Promise<void> => host.removeAddresses(namespace, before.interface, fresh);
      await this.#undo(before, before, clear);
      throw error;
    }
  }

  /** If undoing fails too, the record stays pending: `ps` shows it as incomplete, and the next start or attach ends it. */
  async #undo(
    before: AttachmentRecord | undefined,
    record: AttachmentRecord,
    clear: () => Promise<void>,
  ): Promise<void> {
    try {
      await clear();
      await this.#giveBack(record.id, before);
      await this.#records.restore(record.id, before);
    } catch (error) {
      const fields = { id: record.id, error: messageOf(error) };
      this.#options.log.log('warn', 'a failed attach could not be undone', fields);
    }
  }

  /** Everything but what it had before: whoever gives up on an address may have been given it all the same. */
  async #giveBack(id: string, before: AttachmentRecord | undefined): Promise<void> {
    const { addresses } = this.#options;
    if (before === undefined) return addresses.release(id);
    for (const cidr of await addresses.lookup(id)) {
      if (!includesIp(before.addresses, cidr)) await addresses.release(id, cidr);
    }
  }

  async #takeAddresses(
    record: AttachmentRecord,
    namespace: Namespace | undefined,
    taken: readonly Cidr[],
    rest: readonly Cidr[],
  ): Promise<void> {
    const { host, addresses } = this.#options;
    if (namespace === undefined && (await host.present([record.hostInterface])).size > 0) {
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

  #plan(record: AttachmentRecord, order: AttachOrder, gateway: IpAddress | undefined): PortPlan {
    const { hostInterface, mac, addresses, id } = record;
    const routesBy = order.pod?.routes ?? defaultRoute;
    return {
      hostInterface,
      hostMac: attachmentMac(this.#options.peer, id, hostInterface),
      interface: record.interface,
      mac,
      mtu: order.pod?.mtu ?? this.#options.mtu,
      addresses,
      routes: gateway === undefined ? [] : routesBy(gateway),
      hairpin: order.pod?.hairpin ?? false,
      guarded: order.pod !== undefined,
    };
  }
}

/** Both have ended before the failure of either is thrown: what they did can be undone then. */
async function bothDone<A, B>(first: Promise<A> | A, second: Promise<B> | B): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return Promise.all([first, second]);
}

function identityOf(namespace: Namespace, { pod }: AttachOrder): string {
  return pod?.id ?? namespace.id;
}

function attached(record: AttachmentRecord, plan: PortPlan, gateway: Gateway | undefined): Attached {
  return { record, plan, gateway: gateway?.ip, notes: gateway?.notes ?? [] };
}

function defaultRoute(gateway: IpAddress): PortRoute[] {
  return [{ destination: { ip: { family: gateway.family, value: 0n }, prefix: 0 }, via: gateway }];
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
