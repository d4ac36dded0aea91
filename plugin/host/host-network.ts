import { equalIp } from '../../core/address.ts';
import type { Cidr, IpAddress } from '../../core/address.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import { adoptTap, asBridge, ensureBridge, interfaceNameProblem, isInterfaceName } from './bridge.ts';
import type { BridgeNames, BridgeSettings, OwnBridge } from './bridge.ts';
import { cleanHost, isOwnBridge, replaceBridge } from './clean.ts';
import type { Replaced } from './clean.ts';
import type { HostCommands } from './commands.ts';
import { enableForwarding, setBridgeAddresses } from './exposure.ts';
import { closeForwarding, openForwarding, usesLegacyTables } from './firewall.ts';
import { HostError, messageOf } from './host-error.ts';
import type { Exposure, HostPort, Restored } from './host-port.ts';
import { Kernel, KernelError } from './kernel.ts';
import type { KernelPort } from './kernel.ts';
import { findLink, listAddresses, listLinks, listRoutes, readHostState } from './link-query.ts';
import type { HostState, Link, Route } from './link-query.ts';
import { lookForLink, readLinks, removeLink } from './link-requests.ts';
import type { LinkPlace } from './link-requests.ts';
import { openNamespace } from './namespace.ts';
import type { Namespace } from './namespace.ts';
import { hasRuleset, readCounters, rulesetText } from './nftables.ts';
import { announce, changeRoutes, extend, listPorts, plug, rejoin, removeAddresses, unplug } from './port.ts';
import type { GatewayRoute, HostPlace, PortPlan } from './port.ts';
import { isGuarded, PortGuards } from './port-guard.ts';
import type { PortGuard } from './port-guard.ts';
import { checkClaims, checkHost, checkRange, rangeProblem } from './preflight.ts';
import { askGeneration, isNextGeneration, readGeneration } from './rules-generation.ts';
import { bridgeMtuFor } from './underlay-mtu.ts';

export interface HostNetworkSettings extends BridgeSettings {
  readonly range: Cidr;
  /** TCP and UDP port of the mesh, which attached namespaces may not reach. */
  readonly controlPort: number;
  /** False = `--no-host-firewall`: foreign chains are only reported. */
  readonly changeFirewall: boolean;
}

/** What the kernel has of a pod's interface. */
interface PodKernelState {
  /** The bridge that the host end is a port of; undefined if there is no host end, or it is in no bridge. */
  readonly master: string | undefined;
  /** The end in the namespace; undefined if it is not there. */
  readonly inner: Link | undefined;
  readonly addresses: readonly Cidr[];
  readonly routes: readonly Route[];
  /** Does the kernel check what the port sends? */
  readonly guarded: boolean;
}

/** How long the packet engine may take to make the TAP. */
const TAP_TIMEOUT_MS = 10_000;

/**
 * Everything of this host that the daemon sets up: bridge, TAP as its port, our nftables tables, the rules in foreign
 * chains. Every method may be repeated and adopts what a former run left.
 */
export class HostNetwork implements HostPort {
  readonly settings: HostNetworkSettings;
  readonly #host: HostCommands;
  readonly #kernel: KernelPort;
  readonly #guards: PortGuards;
  #masquerade: readonly Cidr[] = [];
  #firewallProblems: readonly string[] = [];
  /** Of the rules, when the forward chains of others were last seen to. */
  #firewallSeen: number | undefined;
  /** Of the rules, when ours were last seen to be whole. */
  #rulesSeen: number | undefined;
  #bridgeProblem: string | undefined;
  #rulesProblem: string | undefined;
  /** Work of {@link untilDone} that has failed so far, and how. */
  #unfinished: (() => Promise<void>) | undefined;
  #unfinishedProblem: string | undefined;

  constructor(host: HostCommands, settings: HostNetworkSettings, kernel: KernelPort = new Kernel()) {
    for (const name of [settings.bridge, settings.tap]) {
      if (!isInterfaceName(name)) throw new HostError(interfaceNameProblem(name));
    }
    this.#host = host;
    this.#kernel = kernel;
    this.#guards = new PortGuards(host, kernel);
    this.settings = settings;
  }

  /** Makes or adopts the bridge, after {@link preflight}. What the run before had in force goes on being so without a gap. */
  async setUp(restored?: Omit<Restored, 'addresses'>): Promise<void> {
    if (restored !== undefined) this.#masquerade = restored.masquerade;
    await ensureBridge(this.#kernel, this.#host.netns, this.settings);
    await this.#applyRuleset(restored?.guards);
    await this.refreshFirewall();
  }

  /** Makes the engine's TAP a port of the bridge. */
  async adoptTap(): Promise<void> {
    await adoptTap(this.#kernel, this.#host.netns, this.settings, TAP_TIMEOUT_MS);
  }

  /** What {@link HostPort} says; a failure is no reason not to go on, and becomes one of {@link problems}. */
  async repair(): Promise<boolean> {
    const { bridge, tap } = this.settings;
    await this.#mendRuleset();
    await this.#tryUnfinished();
    try {
      const found = await this.#lookFor([bridge, tap]);
      const bridgeLink = found.get(bridge);
      const isWhole = bridgeLink?.kind === 'bridge' && found.get(tap)?.master === bridgeLink.index;
      if (!isWhole) await this.#rebuild(found.has(tap));
      this.#bridgeProblem = undefined;
      return !isWhole;
    } catch (error) {
      this.#bridgeProblem = `the bridge ${bridge} is broken and could not be mended: ${messageOf(error)}`;
      return false;
    }
  }

  /** Puts back our rules in foreign chains that a reload flushed; to be called now and then. */
  async refreshFirewall(): Promise<void> {
    const { bridge, changeFirewall } = this.settings;
    const generation = await this.#generation();
    const isSame = generation !== undefined && generation === this.#firewallSeen;
    if (isSame && !(await usesLegacyTables(this.#host))) return;
    this.#firewallProblems = await openForwarding(this.#host, bridge, changeFirewall);
    // What could not be read or changed may be the next time.
    this.#firewallSeen = this.#firewallProblems.length === 0 ? generation : undefined;
  }

  /** What the operator has to see to, in sentences for `status`: a broken bridge, chains of others that drop our packets. */
  problems(): readonly string[] {
    const own = [this.#bridgeProblem, this.#rulesProblem, this.#unfinishedProblem].filter(
      (problem) => problem !== undefined,
    );
    return [...own, ...this.#firewallProblems];
  }

  /** In a sentence; undefined while the bridge is whole. */
  bridgeProblem(): string | undefined {
    return this.#bridgeProblem;
  }

  /** See {@link cleanHost}. */
  clean(): Promise<void> {
    return cleanHost(this.#host, this.#kernel, [this.settings]);
  }

  /** See {@link replaceBridge}; after {@link setUp}. */
  replace(former: OwnBridge, addresses: readonly Cidr[]): Promise<Replaced | undefined> {
    return replaceBridge(this.#host, this.#kernel, this.settings.bridge, former, addresses);
  }

  /**
   * Undoes {@link setUp} where it made a bridge beside those of `former` runs: that goes and the rules guard a former one
   * again, unless something has been taken over already.
   */
  async giveBack(former: readonly OwnBridge[]): Promise<void> {
    const { bridge, range, controlPort } = this.settings;
    const links = await listLinks(this.#host);
    const [before] = presentOf({ links }, former);
    const hasPorts = links.some(({ master }) => master === bridge);
    if (before === undefined || hasPorts || !links.some((link) => isOwnBridge(link, this.settings))) return;
    await this.#kernel.run(this.#host.netns, [removeLink(bridge)]);
    await closeForwarding(this.#host, bridge);
    const masquerade = this.#masquerade;
    await this.#guards.apply(rulesetText({ bridge: before.bridge, range, controlPort, masquerade }));
  }

  /**
   * Takes over what former runs had with `work`, now and, until it succeeds, at each {@link repair}; meanwhile its failure
   * is one of {@link problems}.
   */
  async untilDone(work: () => Promise<void>): Promise<void> {
    this.#unfinished = work;
    await this.#tryUnfinished();
  }

  async #tryUnfinished(): Promise<void> {
    try {
      await this.#unfinished?.();
      this.#unfinished = undefined;
      this.#unfinishedProblem = undefined;
    } catch (error) {
      this.#unfinishedProblem = `what the run before set up under another name could not be taken over: ${messageOf(error)}`;
    }
  }

  /** Packets that our rules stopped, by counter; empty where they cannot be read. */
  stopped(): Promise<Readonly<Record<string, number>>> {
    return readCounters(this.#host);
  }

  open(target: string): Promise<Namespace> {
    return openNamespace(target, this.#kernel, this.#host.netns ?? '/proc/self/ns/net');
  }

  checkClaims(claims: readonly Cidr[]): Promise<void> {
    return checkClaims(this.#host, claims, this.settings.range, ownInterfaces(this.settings));
  }

  /** A guarded port is guarded before it is there. */
  async plug(plan: PortPlan, namespace: Namespace): Promise<void> {
    const { hostInterface, mac, addresses } = plan;
    if (plan.guarded) {
      await this.#guards.add({ hostInterface, mac, addresses: addresses.map(({ ip }) => ip) });
    }
    await plug(this.#place(), plan, namespace);
  }

  announce(plan: PortPlan, namespace: Namespace): Promise<void> {
    return announce(this.#place(), plan, namespace);
  }

  async unplug(hostInterface: string): Promise<void> {
    await unplug(this.#place(), hostInterface);
    await this.#guards.remove(hostInterface);
  }

  extend(namespace: Namespace, plan: PortPlan, fresh: readonly Cidr[]): Promise<void> {
    return extend(this.#kernel, namespace, plan, fresh);
  }

  removeAddresses(namespace: Namespace, interfaceName: string, addresses: readonly Cidr[]): Promise<void> {
    return removeAddresses(this.#kernel, namespace.path, interfaceName, addresses);
  }

  async routesThrough(
    namespace: Namespace,
    interfaceName: string,
    gateways: readonly IpAddress[],
  ): Promise<GatewayRoute[]> {
    const routes = await listRoutes(this.#host.inside(namespace.path));
    return routes.flatMap(({ interface: name, destination, via, main, metric }) => {
      if (name !== interfaceName || via === undefined || !main) return [];
      return gateways.some((gateway) => equalIp(gateway, via)) ? [{ destination, via, metric }] : [];
    });
  }

  changeRoutes(
    namespace: Namespace,
    verb: 'remove' | 'set',
    interfaceName: string,
    routes: readonly GatewayRoute[],
  ): Promise<void> {
    return changeRoutes(this.#kernel, namespace.path, verb, interfaceName, routes);
  }

  async ports(): Promise<ReadonlySet<string>> {
    return new Set((await listPorts(this.#host)).keys());
  }

  async present(hostInterfaces: readonly string[]): Promise<ReadonlySet<string>> {
    return new Set((await this.#lookFor(hostInterfaces)).keys());
  }

  async rejoin(hostInterfaces: readonly string[]): Promise<void> {
    for (const [name, { master }] of await this.#lookFor(hostInterfaces)) {
      if (master === undefined) await rejoin(this.#place(), name);
    }
  }

  /** What there is of a pod's interface; rejects with {@link BadNamespace} if the namespace is gone. */
  async podState(
    { interface: name, hostInterface }: Pick<AttachmentRecord, 'interface' | 'hostInterface'>,
    netns: string,
  ): Promise<PodKernelState> {
    const namespace = await this.open(netns);
    try {
      const inside = this.#host.inside(namespace.path);
      const [outer, inner, addresses, routes] = await Promise.all([
        findLink(this.#host, hostInterface),
        findLink(inside, name),
        listAddresses(inside),
        listRoutes(inside),
      ]);
      return {
        master: outer?.master,
        inner,
        addresses: addresses.filter((one) => one.interface === name).map(({ cidr }) => cidr),
        routes: routes.filter((one) => one.interface === name),
        guarded: await isGuarded(this.#host, hostInterface),
      };
    } finally {
      await namespace.close();
    }
  }

  async expose(exposure: Exposure): Promise<string[]> {
    const { addresses, remove } = exposure;
    await setBridgeAddresses(this.#kernel, this.#host.netns, this.settings.bridge, addresses, remove);
    this.#masquerade = exposure.masquerade;
    await this.#applyRuleset();
    if (addresses.length === 0 || !(await enableForwarding(this.#host))) return [];
    return ['IP forwarding was off on this host and is now on (net.ipv4.ip_forward=1)'];
  }

  #place(): HostPlace {
    return { kernel: this.#kernel, netns: this.#host.netns, bridge: this.settings.bridge };
  }

  /** Those that are there, by name. */
  async #lookFor(names: readonly string[]): Promise<ReadonlyMap<string, LinkPlace>> {
    // Some records are of no interface.
    const steps = names.filter(isInterfaceName).map(lookForLink);
    return steps.length === 0 ? new Map() : readLinks(await this.#kernel.run(this.#host.netns, steps));
  }

  /** Of the rules of this host; undefined if the kernel does not tell. */
  async #generation(): Promise<number | undefined> {
    try {
      return readGeneration(await this.#kernel.run(this.#host.netns, [askGeneration()]));
    } catch (error) {
      if (error instanceof KernelError) return undefined;
      throw error;
    }
  }

  async #rebuild(hasTap: boolean): Promise<void> {
    await checkRange(this.#host, this.settings.range, ownInterfaces(this.settings));
    await this.setUp();
    if (!hasTap) throw new HostError(`the TAP device ${this.settings.tap} is gone: restart the daemon`);
    await this.adoptTap();
  }

  async #mendRuleset(): Promise<void> {
    const generation = await this.#generation();
    if (generation !== undefined && generation === this.#rulesSeen) return;
    try {
      if (await hasRuleset(this.#host)) {
        this.#rulesSeen = generation;
      } else {
        await this.#applyRuleset();
      }
      this.#rulesProblem = undefined;
    } catch (error) {
      this.#rulesProblem = `the rules of this daemon are gone and could not be put back: ${messageOf(error)}`;
    }
  }

  async #applyRuleset(guards?: readonly PortGuard[]): Promise<void> {
    const { bridge, range, controlPort } = this.settings;
    const before = await this.#generation();
    const text = rulesetText({ bridge, range, controlPort, masquerade: this.#masquerade });
    await this.#guards.apply(text, guards);
    const after = await this.#generation();
    // Who else changed rules meanwhile may have taken these away.
    this.#rulesSeen = isNextGeneration(before, after) ? after : undefined;
  }
}

/**
 * Checks all that a launch needs before it starts anything. Resolves to what the host has; throws {@link HostError} if
 * something is missing or collides. `former`: what runs before this one had, which will be replaced.
 */
export async function preflight(
  host: HostCommands,
  names: BridgeNames,
  range: Cidr,
  former: readonly OwnBridge[] = [],
): Promise<HostState> {
  await checkHost();
  const state = await readHostState(host);
  asBridge(
    names.bridge,
    state.links.find(({ name }) => name === names.bridge),
  );
  const problem = rangeProblem(
    range,
    state.routes,
    state.addresses,
    ownInterfaces(names, ...presentOf(state, former)),
  );
  if (problem !== undefined) throw new HostError(problem);
  return state;
}

/** Those whose bridge is there and not somebody else's of the same name. */
export function presentOf({ links }: Pick<HostState, 'links'>, bridges: readonly OwnBridge[]): OwnBridge[] {
  return bridges.filter((own) => links.some((link) => isOwnBridge(link, own)));
}

/** The MTU of bridge and ports, in bytes, where `--mtu` names none. `names`: of this run and those before. */
export function defaultBridgeMtu(
  state: HostState,
  names: readonly BridgeNames[],
  listen: IpAddress | undefined,
): number {
  return bridgeMtuFor(state, ownInterfaces(...names), listen);
}

function ownInterfaces(...names: readonly BridgeNames[]): ReadonlySet<string> {
  return new Set(names.flatMap(({ bridge, tap }) => [bridge, tap]));
}
