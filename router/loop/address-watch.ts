import { equalIp, parseIp, type IpAddress } from '../../core/address.ts';
import { loadAddon, type Addon, type AddressWatchHandle } from '../engine/addon.ts';

type AddressAddon = Pick<Addon, 'hostAddresses' | 'watchAddresses' | 'stopWatchingAddresses'>;

/** Where others may reach this host: the addresses of its interfaces, but for those of one link and of the mesh itself. */
export function underlayAddresses(bridge: string, addon: AddressAddon = loadAddon()): IpAddress[] {
  return addon
    .hostAddresses()
    .filter(({ name, address }) => name !== bridge && !address.startsWith('fe80:'))
    .flatMap(({ address }) => parseIp(address) ?? []);
}

export interface AddressWatchOptions {
  /** Of the mesh. */
  readonly bridge: string;
  /** The addresses that the host has now, and those that it had before. */
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
  #known: readonly IpAddress[];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AddressWatchOptions) {
    this.#options = options;
    this.#addon = options.addon ?? loadAddon();
    // What changes from here on is told, so nothing is missed between the two.
    this.#handle = this.#addon.watchAddresses(() => {
      this.#timer ??= setTimeout(() => this.#look(), SETTLE_MS);
    });
    this.#known = underlayAddresses(options.bridge, this.#addon);
  }

  /** As looked at last. */
  get addresses(): readonly IpAddress[] {
    return this.#known;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#addon.stopWatchingAddresses(this.#handle);
  }

  #look(): void {
    this.#timer = undefined;
    const before = this.#known;
    this.#known = underlayAddresses(this.#options.bridge, this.#addon);
    const gone = without(before, this.#known);
    if (gone.length > 0 || without(this.#known, before).length > 0) this.#options.onChange(this.#known, gone);
  }
}

function without(some: readonly IpAddress[], others: readonly IpAddress[]): IpAddress[] {
  return some.filter((ip) => !others.some((other) => equalIp(ip, other)));
}
