import { existsSync } from 'node:fs';
import { formatCidr, parseCidr } from '../../core/address.ts';
import type { Cidr } from '../../core/address.ts';
import { equalBytes } from '../../core/bytes.ts';
import type { StorePort } from '../../core/store.ts';
import { SECOND } from '../../core/time.ts';
import type { Millis } from '../../core/time.ts';
import { parseAddressArgument } from './address-argument.ts';
import type { AddressArgument } from './address-argument.ts';
import { Attacher } from './attach.ts';
import type { Attached, AttachOrder, AttacherOptions, PodPort } from './attach.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import { EXPOSE_ID, LEASE_PREFIX, POD_PREFIX } from './attachment-record.ts';
import { interfaceNameProblem, isInterfaceName } from './bridge.ts';
import { Gate } from './gate.ts';
import { GatewayRoutes } from './gateway-routes.ts';
import { AddressRefused, HostError, messageOf } from './host-error.ts';
import { HostExposure } from './host-exposure.ts';
import type { AttachmentResult, AttachmentRow, AttachmentState, Restored } from './host-port.ts';
import { KeyedQueue } from './keyed-queue.ts';
import { concatMacs, hostInterfaceName } from './mac-address.ts';
import type { Namespace } from './namespace.ts';
import type { PortGuard } from './port-guard.ts';
import { RecordBook } from './record-book.ts';

export interface AttachmentsOptions extends AttacherOptions {
  readonly store: StorePort;
  /** A monotonic clock. */
  readonly now: () => Millis;
  /** Told whenever the MACs of local ports change: 6 bytes each, ascending. */
  readonly onLocalMacs: (macs: Uint8Array) => void;
}

export interface AttachRequest {
  /** Namespace path, `ip netns` name, or pid. */
  readonly target: string;
  /** ADDR arguments as the operator wrote them. */
  readonly addresses: readonly string[];
  /** Default: ethwe. */
  readonly interface?: string | undefined;
  readonly defaultRoute?: boolean | undefined;
  /** Gives up waiting for an address; what was begun is undone. */
  readonly signal?: AbortSignal | undefined;
}

/** An interface for a pod, or addresses for one. */
export interface PodRequest {
  /** The namespace's path. */
  readonly target: string;
  readonly interface: string;
  readonly wanted: readonly AddressArgument[];
  readonly pod: PodPort;
  readonly signal: AbortSignal | undefined;
}

/** An attachment that is gone keeps its addresses so long, as its container may only be restarting. */
const GONE_RELEASE_AFTER: Millis = 30 * SECOND;
const CHECK_EVERY: Millis = 10 * SECOND;
const FIREWALL_EVERY: Millis = 60 * SECOND;

/**
 * The attachments of this host and its own addresses, over restarts. What concerns one id happens in order, what
 * concerns several side by side. Methods reject with errors whose message is for the operator.
 */
export class Attachments {
  readonly #options: AttachmentsOptions;
  readonly #records: RecordBook;
  readonly #exposure: HostExposure;
  readonly #attacher: Attacher;
  readonly #routes: GatewayRoutes;
  readonly #queue = new KeyedQueue();
  readonly #gate = new Gate();
  readonly #goneSince = new Map<string, Millis>();
  #localMacs: Uint8Array | undefined;
  #firewallChecked: Millis | undefined;
  /** The bridge was made anew and the host's own addresses are not on it yet. */
  #exposureLost = false;
  /** What is still to be done of {@link readopt}, in order. */
  #toReadopt = new Map<string, () => Promise<void>>();
  #checking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AttachmentsOptions) {
    this.#options = options;
    this.#records = new RecordBook(options.store, options.log);
    this.#exposure = new HostExposure(options, this.#records);
    this.#attacher = new Attacher(options, this.#records);
    this.#routes = new GatewayRoutes(options, this.#records, (id, work) =>
      this.#queue.run(queueKey(id), work),
    );
  }

  /** Makes an interface in the target's namespace, or adds addresses to the one it has. */
  attach(request: AttachRequest): Promise<AttachmentResult> {
    return this.#gate.pass(request.signal, (signal) => this.#attach({ ...request, signal }));
  }

  /** A pod's interface under `pod.id`; refused by {@link InterfaceExists} if it has it already. */
  attachPod(request: PodRequest): Promise<Attached> {
    return this.#gate.pass(request.signal, (signal) => this.#attachPod({ ...request, signal }));
  }

  /** Addresses under `id` for an interface that another plugin makes in `target`; asked again, the same ones. */
  lease(id: string, request: Omit<PodRequest, 'pod'>): Promise<readonly Cidr[]> {
    return this.#gate.pass(request.signal, async (signal) => {
      await this.#checkClaims(request.wanted);
      const order = { ...request, signal };
      const target = await this.#targetInSight(request.target);
      const record = await this.#change(id, () => this.#attacher.lease(id, target, order));
      return record.addresses;
    });
  }

  /** Takes a pod's interface and addresses, or a lease, away, whatever of them there is. */
  async removePod(id: string): Promise<void> {
    await this.#change(id, async () => {
      const record = this.#records.get(id);
      await (record === undefined ? this.#options.addresses.release(id) : this.#attacher.remove(record));
    });
  }

  /** The records whose ids begin with `prefix`, in order of id. */
  recordsOf(prefix: string): AttachmentRecord[] {
    return this.#records.all().filter(({ id }) => id.startsWith(prefix));
  }

  /** Removes host ends that no record knows: a record is written before its port is made. */
  async removeStrayPorts(): Promise<void> {
    const isKnown = (port: string): boolean =>
      this.#records.all().some((record) => record.hostInterface === port);
    await forEach(await this.#options.host.ports(), async (port) => {
      if (isKnown(port)) return;
      await this.#queue.run(port, async () => {
        if (isKnown(port)) return;
        this.#options.log.log('info', 'removed a port that belongs to no attachment', { port });
        await this.#options.host.unplug(port);
      });
    });
  }

  /** Releases what the allocator has given to pods that no record knows: a record is written before it is asked. */
  async releaseStrayAddresses(): Promise<void> {
    const isStray = (id: string): boolean => isPod(id) && this.#records.get(id) === undefined;
    await forEach(await this.#options.addresses.ids(), async (id) => {
      if (!isStray(id)) return;
      await this.#change(id, async () => {
        if (!isStray(id)) return;
        this.#options.log.log('info', 'released addresses that belong to no pod', { id });
        await this.#options.addresses.release(id);
      });
    });
  }

  /** Releases at once those whose ids begin with `prefix` and that have lost their interface or namespace. */
  async releaseGone(prefix: string): Promise<void> {
    for (const { id } of this.recordsOf(prefix)) {
      await this.#queue.run(queueKey(id), () => this.#releaseGone(id));
    }
    this.#announceMacs();
  }

  /** Takes the named addresses, or the whole interface, away. Resolves to the addresses taken; nothing to do is no error. */
  async detach(target: string, addresses: readonly string[]): Promise<string[]> {
    const named = addresses.map(parseAddressArgument);
    const namespace = await this.#openIfThere(target);
    try {
      const id = namespace?.id ?? this.#idOf(target);
      if (id === undefined) return [];
      return await this.#change(id, () => this.#attacher.detach(id, namespace, named));
    } finally {
      await namespace?.close();
    }
  }

  /** Gives the host addresses on the mesh; with `masquerade` what leaves it from their subnets bears the host's address. */
  expose(addresses: readonly string[], masquerade: boolean, signal?: AbortSignal): Promise<AttachmentResult> {
    return this.#gate.pass(signal, async (either) => {
      const wanted = await this.#wanted(addresses);
      const result = await this.#exposure.expose(wanted, masquerade, either);
      await this.#routes.restore();
      return result;
    });
  }

  /** Resolves to the addresses taken away. */
  async hide(addresses: readonly string[]): Promise<string[]> {
    const named = addresses.map(parseAddressArgument);
    const taken = await this.#exposure.hide(named);
    const hidden = taken.map((text) => parseCidr(text)!);
    await this.#routes.withdraw(hidden);
    await this.#routes.restore();
    return taken;
  }

  /**
   * Takes everything, the host's own addresses included, off the mesh, and lets nothing on it until `work` has ended:
   * what would be attached meanwhile is refused.
   */
  async withoutAny<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      await this.#gate.close();
      await this.#detachAll();
      return await work();
    } finally {
      this.#gate.open();
    }
  }

  /** As it is recorded. */
  restored(): Restored {
    const { masquerade = [], addresses = [] } = this.#records.get(EXPOSE_ID) ?? {};
    return {
      masquerade,
      addresses,
      guards: this.#records.all().flatMap(guardOf),
    };
  }

  /** In order of id; the exposure is a row too. */
  async ps(): Promise<AttachmentRow[]> {
    const ports = await this.#options.host.ports();
    return this.#records.all().map((record) => ({
      id: record.id,
      target: record.target,
      interface: record.interface,
      mac: record.mac,
      addresses: record.addresses.map(formatCidr),
      state: stateOf(record, ports),
    }));
  }

  /**
   * At daemon start, once bridge and IPAM are there: ends what a crash cut short and takes up what is attached. What of it
   * fails keeps nothing else from being done, and every {@link check} tries it again.
   */
  async readopt(): Promise<void> {
    const pending = this.#records.all().filter((record) => record.pending && record.id !== EXPOSE_ID);
    this.#toReadopt = new Map([
      ["the host's own addresses", () => this.#exposure.readopt()],
      ...pending.map(
        ({ id }) => [id, () => this.#queue.run(queueKey(id), () => this.#endPending(id))] as const,
      ),
      ['stray ports', () => this.removeStrayPorts()],
      ['stray addresses', () => this.releaseStrayAddresses()],
    ]);
    await this.check();
  }

  /** Mends the bridge and the firewall, and releases attachments that have been gone for 30 s. One at a time. */
  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => (this.#checking = undefined));
    return this.#checking;
  }

  /** Calls {@link check} every 10 s until {@link close}. */
  start(): void {
    this.#timer = setTimeout(() => {
      this.check()
        .catch((error: unknown) => {
          const fields = { error: messageOf(error) };
          this.#options.log.log('warn', 'the attachments could not be checked', fields);
        })
        .finally(() => {
          if (this.#timer !== undefined) this.start();
        });
    }, CHECK_EVERY);
  }

  /** Resolves once no check is under way, which would put back what is removed afterwards. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#checking?.catch(() => undefined);
  }

  async #attach(request: AttachRequest): Promise<AttachmentResult> {
    const wanted = await this.#wanted(request.addresses);
    if (request.interface !== undefined && !isInterfaceName(request.interface)) {
      throw new HostError(interfaceNameProblem(request.interface));
    }
    const { target, defaultRoute, signal } = request;
    const gateway = defaultRoute === true ? this.#gateway(signal) : undefined;
    const namespace = await this.#options.host.open(target);
    try {
      const order = { target, wanted, interface: request.interface, gateway, signal };
      return this.#result(await this.#change(namespace.id, () => this.#attacher.attach(namespace, order)));
    } finally {
      await namespace.close();
    }
  }

  async #attachPod(request: PodRequest): Promise<Attached> {
    await this.#checkClaims(request.wanted);
    const { target, pod, signal } = request;
    const namespace = await this.#options.host.open(target);
    try {
      const order = { ...request, gateway: this.#podGateway(pod, signal) };
      return await this.#change(pod.id, () => this.#attacher.attachPod(namespace, order));
    } finally {
      await namespace.close();
    }
  }

  async #detachAll(): Promise<void> {
    for (let left = this.#records.all(); left.length > 0;) {
      for (const { id } of left) await this.#takeOff(id);
      const stuck = this.#records.all();
      if (stuck.length >= left.length) {
        throw new HostError(`${stuck.map(({ id }) => id).join(', ')} cannot be detached: see weave-ts ps`);
      }
      left = stuck;
    }
  }

  async #takeOff(id: string): Promise<void> {
    if (id === EXPOSE_ID) await this.#exposure.hide([]);
    else await this.#change(id, () => this.#attacher.detach(id, undefined, []));
  }

  async #check(): Promise<void> {
    await this.#goOnReadopting();
    await this.#mendBridge();
    const time = this.#options.now();
    if (this.#firewallChecked === undefined || time - this.#firewallChecked >= FIREWALL_EVERY) {
      this.#firewallChecked = time;
      await this.#options.host.refreshFirewall();
    }
    const settled = this.#records.all().filter(({ pending }) => !pending);
    await this.#options.host.rejoin(settled.map(({ hostInterface }) => hostInterface));
    await this.#routes.restore();
    const all = this.#records.all().map(({ hostInterface }) => hostInterface);
    const ports = await this.#options.host.present(all);
    for (const record of this.#records.all()) {
      if (this.#goneLongEnough(record, ports, time)) {
        await this.#queue.run(queueKey(record.id), () => this.#releaseGone(record.id));
      }
    }
    this.#announceMacs();
  }

  async #goOnReadopting(): Promise<void> {
    for (const [what, step] of this.#toReadopt) {
      try {
        await step();
        this.#toReadopt.delete(what);
      } catch (error) {
        const fields = { what, error: messageOf(error) };
        this.#options.log.log('warn', 'not taken up from the run before, to be tried again', fields);
      }
    }
  }

  async #mendBridge(): Promise<void> {
    if (await this.#options.host.repair()) {
      this.#exposureLost = true;
      this.#options.log.log('warn', 'the bridge was taken apart and is made anew', {
        bridge: this.#options.bridge,
      });
    }
    if (!this.#exposureLost) return;
    await this.#exposure.readopt();
    this.#exposureLost = false;
  }

  async #change<Result>(id: string, work: () => Promise<Result>): Promise<Result> {
    const result = await this.#queue.run(queueKey(id), work);
    this.#goneSince.delete(id);
    this.#announceMacs();
    return result;
  }

  async #wanted(texts: readonly string[]): Promise<AddressArgument[]> {
    const wanted = texts.map(parseAddressArgument);
    await this.#checkClaims(wanted);
    return wanted;
  }

  async #checkClaims(wanted: readonly AddressArgument[]): Promise<void> {
    const claims = wanted.flatMap((one) => (one.kind === 'claim' ? [one.cidr] : []));
    if (claims.length > 0) await this.#options.host.checkClaims(claims);
  }

  #result({ record, notes }: Attached): AttachmentResult {
    const { id, interface: name, mac } = record;
    const addresses = record.addresses.map(formatCidr);
    return { id, addresses, interface: name, mac, mtu: this.#options.mtu, notes };
  }

  #gateway(signal: AbortSignal | undefined): NonNullable<AttachOrder['gateway']> {
    return (cidr) => this.#exposure.gatewayFor(cidr, signal);
  }

  /** The host gets an address in the pod's subnet in any case, so that it reaches the pod; where it can have none, a named gateway will do. */
  #podGateway(pod: PodPort, signal: AbortSignal | undefined): NonNullable<AttachOrder['gateway']> {
    return async (cidr) => {
      const { gateway } = pod;
      try {
        const own = await this.#gateway(signal)(cidr);
        return { ...own, ip: gateway ?? own.ip };
      } catch (error) {
        if (gateway === undefined || !(error instanceof AddressRefused)) throw error;
        return { ip: gateway, notes: [] };
      }
    };
  }

  /** Of a namespace that the daemon cannot see, only its runtime can tell that it is gone. */
  async #targetInSight(target: string): Promise<string> {
    const namespace = await this.#openIfThere(target);
    await namespace?.close();
    return namespace === undefined ? '' : target;
  }

  async #openIfThere(target: string): Promise<Namespace | undefined> {
    return this.#options.host.open(target).catch((error: unknown) => {
      if (error instanceof HostError) return undefined;
      throw error;
    });
  }

  /** For namespaces that are gone: by the id that `ps` shows, or the target as it was written. */
  #idOf(target: string): string | undefined {
    const ports = this.#records.all().filter((record) => record.id !== EXPOSE_ID);
    if (target === '') return undefined;
    return ports.find((record) => record.id === target || record.target === target)?.id;
  }

  async #endPending(id: string): Promise<void> {
    const record = this.#records.get(id);
    if (record?.pending === true) await this.#attacher.endPending(record);
  }

  async #releaseGone(id: string): Promise<void> {
    const record = this.#records.get(id);
    if (record === undefined || stateOf(record, await this.#options.host.ports()) !== 'gone') return;
    await this.#attacher.remove(record);
    this.#goneSince.delete(id);
    const fields = { id, target: record.target, addresses: record.addresses.map(formatCidr) };
    this.#options.log.log('info', 'released the addresses of an attachment that is gone', fields);
  }

  #goneLongEnough(record: AttachmentRecord, ports: ReadonlySet<string>, time: Millis): boolean {
    if (stateOf(record, ports) !== 'gone') {
      this.#goneSince.delete(record.id);
      return false;
    }
    const since = this.#goneSince.get(record.id) ?? time;
    this.#goneSince.set(record.id, since);
    return time - since >= GONE_RELEASE_AFTER;
  }

  /** The bridge's own MAC is always among them: the host speaks with it. */
  #announceMacs(): void {
    const live = this.#records
      .all()
      .filter(
        ({ id, hostInterface, pending }) => hostInterface !== '' && !pending && !this.#goneSince.has(id),
      );
    const macs = concatMacs([this.#options.mac, ...live.map((record) => record.mac)]);
    if (this.#localMacs !== undefined && equalBytes(this.#localMacs, macs)) return;
    this.#localMacs = macs;
    this.#options.onLocalMacs(macs);
  }
}

/** In order; one that fails keeps none from being done, and is thrown in the end. */
async function forEach<Item>(items: Iterable<Item>, work: (item: Item) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) await work(item).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** A port and what is recorded of it change in one order, so that a port without a record is one for good. */
function queueKey(id: string): string {
  return hostInterfaceName(id);
}

function isPod(id: string): boolean {
  return id.startsWith(POD_PREFIX) || id.startsWith(LEASE_PREFIX);
}

/** What is guarded of a former run: also ports whose making or removal did not end. */
function guardOf({ id, hostInterface, mac, addresses }: AttachmentRecord): PortGuard[] {
  if (!id.startsWith(POD_PREFIX)) return [];
  return [{ hostInterface, mac, addresses: addresses.map(({ ip }) => ip) }];
}

function stateOf(record: AttachmentRecord, ports: ReadonlySet<string>): AttachmentState {
  if (record.pending) return 'incomplete';
  if (record.id === EXPOSE_ID) return 'attached';
  return isThere(record, ports) ? 'attached' : 'gone';
}

/** A lease has no port of ours: its namespace tells, if it can be seen at all. */
function isThere({ hostInterface, target }: AttachmentRecord, ports: ReadonlySet<string>): boolean {
  if (hostInterface !== '') return ports.has(hostInterface);
  return target === '' || existsSync(target);
}
