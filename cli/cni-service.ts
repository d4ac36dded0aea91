import type { Log } from '../core/log.ts';
import type { StorePort } from '../core/store.ts';
import { CniPlugin } from '../plugin/cni/cni-plugin.ts';
import type { CniAnswer, Obstacle } from '../plugin/cni/cni-plugin.ts';
import { Installation } from '../plugin/cni/installation.ts';
import type { InstallSettings } from '../plugin/cni/installation.ts';
import { Spool } from '../plugin/cni/spool.ts';
import type { Attachments } from '../plugin/host/attachments.ts';
import { messageOf } from '../plugin/host/host-error.ts';
import type { HostNetwork } from '../plugin/host/host-network.ts';
import type { AddressPort } from '../plugin/host/host-port.ts';
import { subnetProblem } from '../ipam/settings.ts';
import type { IpamSettings } from '../ipam/settings.ts';
import type { IpamStatus } from '../ipam/status.ts';
import { filesBeside } from './daemon-files.ts';
import { DEFAULT_SOCKET } from './settings.ts';

interface CniParts {
  readonly attachments: Attachments;
  readonly network: HostNetwork;
  readonly addresses: AddressPort;
  readonly ipam: IpamSettings;
  readonly store: StorePort;
  readonly socket: string;
  readonly log: Log;
  ipamStatus(): Promise<IpamStatus>;
}

/** How often DELs that the shim queued while the daemon was restarting are looked for. */
const SPOOL_EVERY_MS = 5_000;

/** CNI as part of the daemon: the plugin, its queue of DELs, and its installation. */
export class CniService {
  readonly #parts: CniParts;
  readonly #plugin: CniPlugin;
  readonly #spool: Spool;
  readonly #installation: Installation;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: CniParts) {
    const { attachments, network, addresses, ipam, log, socket } = parts;
    const { bridge, mac, mtu } = network.settings;
    this.#parts = parts;
    this.#plugin = new CniPlugin({
      attachments,
      bridge: { name: bridge, mac, mtu },
      defaultSubnet: ipam.defaultSubnet,
      subnetProblem: (subnet) => subnetProblem(subnet, ipam.range),
      podState: async (record, netns) => ({
        ...(await network.podState(record, netns)),
        allocated: await addresses.lookup(record.id),
      }),
      allocated: (id) => addresses.lookup(id),
      obstacle: () => this.#obstacle(),
      replaySpool: () => this.#spool.replay(),
      log,
    });
    const never = new AbortController().signal;
    this.#spool = new Spool(filesBeside(socket).spool, (body) => this.#plugin.call(body, never), log);
    const named = socket === DEFAULT_SOCKET ? undefined : socket;
    const isReady = async (): Promise<boolean> => (await this.#obstacle()) === undefined;
    this.#installation = new Installation(parts.store, named, isReady, log);
  }

  call(body: Buffer, signal: AbortSignal): Promise<CniAnswer> {
    return this.#plugin.call(body, signal);
  }

  install(settings: InstallSettings): Promise<void> {
    return this.#installation.set(settings);
  }

  async start(): Promise<void> {
    await this.#replay();
    await this.#installation.start();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#installation.close();
  }

  /** Undoes {@link install}. */
  uninstall(): Promise<void> {
    return this.#installation.remove();
  }

  async #replay(): Promise<void> {
    this.#timer = setTimeout(() => void this.#replay(), SPOOL_EVERY_MS);
    await this.#spool.replay().catch((error: unknown) => {
      this.#parts.log.log('warn', 'queued CNI DELs cannot be read', { error: messageOf(error) });
    });
  }

  async #obstacle(): Promise<Obstacle | undefined> {
    const broken = this.#parts.network.bridgeProblem();
    if (broken !== undefined) return { message: broken, limitsPods: true };
    const { status, detail } = await this.#parts.ipamStatus();
    const reason = CANNOT_ALLOCATE[status];
    if (reason === undefined) return undefined;
    return { message: detail === undefined ? reason : `${reason}: ${detail}`, limitsPods: false };
  }
}

const CANNOT_ALLOCATE: Readonly<Record<IpamStatus['status'], string | undefined>> = {
  // The first ADD makes it ready.
  idle: undefined,
  ready: undefined,
  'waiting-for-grant': undefined,
  'awaiting-consensus': 'the peers have not divided the address range yet',
  exhausted: 'the address range is exhausted',
  disabled: 'this daemon allocates no addresses',
};
