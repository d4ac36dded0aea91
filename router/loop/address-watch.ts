import { equalIp, formatIp, parseIp, type IpAddress } from '../../core/address.ts';
import { loadAddon, type Addon, type AddressWatchHandle } from '../engine/addon.ts';

type AddressAddon = Pick<Addon, 'hostAddresses' | 'watchAddresses' | 'stopWatchingAddresses'>;

/** The addresses of this host that are neither of one link nor of the mesh itself. */
export interface UnderlayAddresses {
  /** Of all interfaces. */
  readonly configured: readonly IpAddress[];
  /** Where others may reach this host: those of interfaces that run. Some hold addresses and are down, as kube-ipvs0. */
  readonly running: readonly IpAddress[];
}

export function underlayAddresses(
  bridges: readonly string[],
  addon: AddressAddon = loadAddon(),
): UnderlayAddresses {
  const all = addon
    .hostAddresses()
    .filter(({ name, address }) => !bridges.includes(name) && !address.startsWith('fe80:'))
    .flatMap(({ address, running }) => {
      const ip = parseIp(address);
      return ip === undefined ? [] : [{ ip, running }];
    });
  return {
    configured: all.map(({ ip }) => ip),
    running: all.filter(({ running }) => running).map(({ ip }) => ip),
  };
}

export interface AddressChange {
  /** Where others may reach the host now. */
  readonly addresses: readonly IpAddress[];
  /** Taken from the host: those of an interface that is down are not, and connections that began there may outlive that. */
  readonly gone: readonly IpAddress[];
  /** Whether the ways to others may have changed, too. */
  readonly moved: boolean;
}

export interface AddressWatchOptions {
  /** Those of the mesh, which nobody reaches this host by. */
  readonly bridges: readonly string[];
  readonly onChange: (change: AddressChange) => void;
  /** Whether a connection begins or ends at this address. */
  readonly carries: (ip: IpAddress) => boolean;
  /** Milliseconds for which an interface that carries nothing has to stay up or down; {@link IDLE_MS} unless given. */
  readonly idleMs?: number;
  readonly addon?: AddressAddon;
}

/** A lease that is renewed takes an address away and gives another one: that is one change. */
const SETTLE_MS = 200;

/**
 * A bridge gains its carrier with its first container and loses it with the last: that changes no way of ours, and all
 * nodes are told of it.
 */
const IDLE_MS = 10_000;

/** Tells when this host gets or loses an address; costs nothing meanwhile. */
export class AddressWatch {
  readonly #options: AddressWatchOptions;
  readonly #addon: AddressAddon;
  readonly #handle: AddressWatchHandle;
  #known: UnderlayAddresses;
  /** Of what runs, as told last. */
  #told: readonly IpAddress[];
  /** Addresses of interfaces that went down while they carried connections, as text. */
  readonly #uplinks = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(options: AddressWatchOptions) {
    this.#options = options;
    this.#addon = options.addon ?? loadAddon();
    // What changes from here on is told, so nothing is missed between the two.
    this.#handle = this.#addon.watchAddresses(() => {
      this.#timer ??= setTimeout(() => this.#look(), SETTLE_MS);
    });
    this.#known = underlayAddresses(options.bridges, this.#addon);
    this.#told = this.#known.running;
  }

  /** As told last. */
  get addresses(): readonly IpAddress[] {
    return this.#told;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#endIdle();
    this.#addon.stopWatchingAddresses(this.#handle);
  }

  #look(idleIsOver = false): void {
    this.#timer = undefined;
    const before = this.#known.configured;
    this.#known = underlayAddresses(this.#options.bridges, this.#addon);
    const { configured, running } = this.#known;
    const gone = without(before, configured);
    const other = [...without(this.#told, running), ...without(running, this.#told)];
    const moved = gone.length > 0 || other.some((ip) => !includes(before, ip) || this.#isUplink(ip));
    if (moved || (idleIsOver && other.length > 0)) this.#tell({ addresses: running, gone, moved });
    else if (other.length === 0) this.#endIdle();
    else this.#idleTimer ??= setTimeout(() => this.#look(true), this.#options.idleMs ?? IDLE_MS);
  }

  #tell(change: AddressChange): void {
    this.#endIdle();
    this.#told = change.addresses;
    for (const ip of change.gone) this.#uplinks.delete(formatIp(ip));
    this.#options.onChange(change);
  }

  #endIdle(): void {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = undefined;
  }

  /** What carried connections when it went down is awaited. */
  #isUplink(ip: IpAddress): boolean {
    if (this.#options.carries(ip)) this.#uplinks.add(formatIp(ip));
    return this.#uplinks.has(formatIp(ip));
  }
}

function includes(addresses: readonly IpAddress[], ip: IpAddress): boolean {
  return addresses.some((other) => equalIp(ip, other));
}

function without(some: readonly IpAddress[], others: readonly IpAddress[]): IpAddress[] {
  return some.filter((ip) => !includes(others, ip));
}
