import { equalIp, parseIp, type IpAddress } from '../../core/address.ts';
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

export interface AddressWatchOptions {
  /** Those of the mesh, which nobody reaches this host by. */
  readonly bridges: readonly string[];
  /**
   * Where others may reach the host now, and the addresses that were taken from it: those of an interface that is down are
   * not, and connections that began there may outlive that.
   */
  readonly onChange: (addresses: readonly IpAddress[], gone: readonly IpAddress[]) => void;
  readonly addon?: AddressAddon;
}

/** A lease that is renewed takes an address away and gives another one: that is one change. */
const SETTLE_MS = 200;

/** Tells when this host gets or loses an address; costs nothing meanwhile. */
export class AddressWatch {
  readonly #options: AddressWatchOptions;
  readonly #addon: AddressAddon;
  readonly #handle: AddressWatchHandle;
  #known: UnderlayAddresses;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AddressWatchOptions) {
    this.#options = options;
    this.#addon = options.addon ?? loadAddon();
    // What changes from here on is told, so nothing is missed between the two.
    this.#handle = this.#addon.watchAddresses(() => {
      this.#timer ??= setTimeout(() => this.#look(), SETTLE_MS);
    });
    this.#known = underlayAddresses(options.bridges, this.#addon);
  }

  /** As looked at last. */
  get addresses(): readonly IpAddress[] {
    return this.#known.running;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#addon.stopWatchingAddresses(this.#handle);
  }

  #look(): void {
    this.#timer = undefined;
    const before = this.#known;
    this.#known = underlayAddresses(this.#options.bridges, this.#addon);
    const { configured, running } = this.#known;
    const gone = without(before.configured, configured);
    const isOther =
      without(before.running, running).length > 0 || without(running, before.running).length > 0;
    if (gone.length > 0 || isOther) this.#options.onChange(running, gone);
  }
}

function without(some: readonly IpAddress[], others: readonly IpAddress[]): IpAddress[] {
  return some.filter((ip) => !others.some((other) => equalIp(ip, other)));
}
