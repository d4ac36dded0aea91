import { cidrContains, equalIp, formatCidr, formatIp, networkOf, parseCidr } from '../../../core/address.ts';
import type { Cidr, IpAddress } from '../../../core/address.ts';
import type { StoreChange, StorePort } from '../../../core/store.ts';
import { HostError } from '../../../plugin/host/host-error.ts';
import type { AddressPort, Exposure, HostPort } from '../../../plugin/host/host-port.ts';
import type { Namespace } from '../../../plugin/host/namespace.ts';
import type { GatewayRoute, PortPlan } from '../../../plugin/host/port.ts';

export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`bad CIDR in a test: ${text}`);
  return parsed;
}

/** A store that forgets nothing and may be told to fail. */
export class MemoryStore implements StorePort {
  readonly values = new Map<string, Uint8Array>();
  failing = false;
  /** So many commits succeed and then one fails. */
  failAfter: number | undefined;
  /** What commits wait for. */
  held: Promise<void> | undefined;

  load(): ReadonlyMap<string, Uint8Array> {
    return new Map(this.values);
  }

  async commit(changes: readonly StoreChange[]): Promise<void> {
    if (this.held !== undefined) await this.held;
    if (this.failAfter !== undefined && this.failAfter-- === 0) throw new Error('disk full');
    if (this.failing) throw new Error('disk full');
    for (const { key, value } of changes) {
      if (value === undefined) this.values.delete(key);
      else this.values.set(key, value);
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Addresses counted up within each subnet, one id each. */
export class FakeAddresses implements AddressPort {
  /** "10.32.0.1/12" -> id. */
  readonly held = new Map<string, string>();
  /** With which sentence allocations fail. */
  failing: string | undefined;
  /** Whoever asks for an address gives up at the moment in which it is given. */
  tooLate = false;
  readonly defaultSubnet: Cidr;

  constructor(defaultSubnet: Cidr) {
    this.defaultSubnet = defaultSubnet;
  }

  async allocate(id: string, subnet: Cidr = this.defaultSubnet, signal?: AbortSignal): Promise<Cidr> {
    signal?.throwIfAborted();
    if (this.failing !== undefined) throw new Error(this.failing);
    const mine = (await this.lookup(id)).find((own) => cidrContains(subnet, own.ip));
    if (mine !== undefined) return mine;
    for (let value = networkOf(subnet).value + 1n; ; value++) {
      const next = { ip: { family: subnet.ip.family, value }, prefix: subnet.prefix };
      if (this.held.has(formatCidr(next))) continue;
      this.held.set(formatCidr(next), id);
      if (this.tooLate) throw new Error('given up');
      return next;
    }
  }

  claim(id: string, wanted: Cidr): Promise<void> {
    const owner = this.held.get(formatCidr(wanted));
    if (owner !== undefined && owner !== id) {
      return Promise.reject(new Error(`${formatIp(wanted.ip)} is taken by ${owner}`));
    }
    this.held.set(formatCidr(wanted), id);
    return Promise.resolve();
  }

  release(id: string, address?: Cidr): Promise<void> {
    for (const [text, owner] of [...this.held]) {
      if (owner === id && (address === undefined || text === formatCidr(address))) this.held.delete(text);
    }
    return Promise.resolve();
  }

  lookup(id: string): Promise<readonly Cidr[]> {
    return Promise.resolve([...this.held].filter(([, owner]) => owner === id).map(([text]) => cidr(text)));
  }

  ids(): Promise<readonly string[]> {
    return Promise.resolve([...new Set(this.held.values())]);
  }
}

/** Namespaces by name, ports by host end, and a switch that makes the next kernel change fail. */
export class FakeHost implements HostPort {
  readonly namespaces = new Map<string, string>();
  /** Host end -> addresses of the inner end. */
  readonly plugged = new Map<string, string[]>();
  readonly plans: PortPlan[] = [];
  /** By the id of the namespace. */
  readonly routes = new Map<string, GatewayRoute[]>();
  exposure: Exposure | undefined;
  failNext: string | undefined;
  /** Why no port can be made. */
  refuse: Error | undefined;
  /** Why no namespace can be opened. */
  openError: Error | undefined;
  /** Called while a port is being made. */
  whilePlugging: () => void = () => undefined;
  /** Called before a port is removed. */
  whileUnplugging: (hostInterface: string) => Promise<void> = () => Promise.resolve();
  /** Host ends that were put back into the bridge. */
  rejoined: string[] = [];
  /** A port that cannot be removed. */
  stuck: string | undefined;
  /** Somebody removed the bridge. */
  broken = false;
  opened = 0;

  open(target: string): Promise<Namespace> {
    if (this.openError !== undefined) return Promise.reject(this.openError);
    const id = this.namespaces.get(target);
    if (id === undefined) return Promise.reject(new HostError(`there is no network namespace ${target}`));
    this.opened++;
    const close = (): Promise<void> => {
      this.opened--;
      return Promise.resolve();
    };
    return Promise.resolve({ id, path: `/fake/${id}`, fd: -1, close });
  }

  checkClaims(claims: readonly Cidr[]): Promise<void> {
    const taken = claims.map(formatCidr).find((text) => text.startsWith('192.0.2.'));
    return taken === undefined ? Promise.resolve() : Promise.reject(new HostError(`${taken} overlaps eth0`));
  }

  async plug(plan: PortPlan, namespace: Namespace): Promise<void> {
    await this.#step();
    if (this.refuse !== undefined) throw this.refuse;
    this.whilePlugging();
    const routes = plan.routes.flatMap(({ destination, via }) =>
      via === undefined ? [] : [{ destination, via, metric: 0 }],
    );
    this.routes.set(namespace.id, routes);
    this.plans.push(plan);
    this.plugged.set(plan.hostInterface, plan.addresses.map(formatCidr));
  }

  announce(): Promise<void> {
    return Promise.resolve();
  }

  routesThrough(
    namespace: Namespace,
    _name: string,
    gateways: readonly IpAddress[],
  ): Promise<GatewayRoute[]> {
    const routes = this.routes.get(namespace.id) ?? [];
    return Promise.resolve(routes.filter(({ via }) => gateways.some((gateway) => equalIp(gateway, via))));
  }

  changeRoutes(
    namespace: Namespace,
    verb: 'remove' | 'set',
    _name: string,
    routes: readonly GatewayRoute[],
  ): Promise<void> {
    const others = (this.routes.get(namespace.id) ?? []).filter((route) => !routes.includes(route));
    this.routes.set(namespace.id, verb === 'remove' ? others : [...others, ...routes]);
    return Promise.resolve();
  }

  async unplug(hostInterface: string): Promise<void> {
    if (hostInterface === this.stuck) throw new Error('device or resource busy');
    await this.whileUnplugging(hostInterface);
    this.plugged.delete(hostInterface);
  }

  async extend(_namespace: Namespace, plan: PortPlan, fresh: readonly Cidr[]): Promise<void> {
    await this.#step();
    this.plans.push(plan);
    this.plugged.get(plan.hostInterface)!.push(...fresh.map(formatCidr));
  }

  removeAddresses(_namespace: Namespace, _name: string, addresses: readonly Cidr[]): Promise<void> {
    const doomed = new Set(addresses.map(formatCidr));
    for (const [port, list] of this.plugged) {
      this.plugged.set(
        port,
        list.filter((text) => !doomed.has(text)),
      );
    }
    return Promise.resolve();
  }

  ports(): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set(this.plugged.keys()));
  }

  present(hostInterfaces: readonly string[]): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set(hostInterfaces.filter((name) => this.plugged.has(name))));
  }

  rejoin(hostInterfaces: readonly string[]): Promise<void> {
    this.rejoined = hostInterfaces.filter((name) => this.plugged.has(name));
    return Promise.resolve();
  }

  async expose(exposure: Exposure): Promise<string[]> {
    await this.#step();
    this.exposure = exposure;
    return ['forwarding is on'];
  }

  repair(): Promise<boolean> {
    const wasBroken = this.broken;
    this.broken = false;
    return Promise.resolve(wasBroken);
  }

  refreshFirewall(): Promise<void> {
    return Promise.resolve();
  }

  #step(): Promise<void> {
    const reason = this.failNext;
    this.failNext = undefined;
    return reason === undefined ? Promise.resolve() : Promise.reject(new Error(reason));
  }
}
