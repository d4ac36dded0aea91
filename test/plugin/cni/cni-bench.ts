import { cidrContains } from '../../../core/address.ts';
import { parsePeerName } from '../../../core/peer-name.ts';
import { silentLog } from '../../../core/log.ts';
import { encodeCallBody } from '../../../plugin/cni/call-body.ts';
import { CniPlugin } from '../../../plugin/cni/cni-plugin.ts';
import type { Obstacle } from '../../../plugin/cni/cni-plugin.ts';
import type { CniResult } from '../../../plugin/cni/cni-result.ts';
import type { PodState } from '../../../plugin/cni/pod-check.ts';
import { Attachments } from '../../../plugin/host/attachments.ts';
import type { PortPlan } from '../../../plugin/host/port.ts';
import { cidr, FakeAddresses, FakeHost, MemoryStore } from '../host/host-fakes.ts';

const PEER = parsePeerName('7a:00:00:00:00:01')!;
export const BRIDGE = { name: 'weave', mac: '7a:00:00:00:00:01', mtu: 1_388 };
export const CONFIG = { cniVersion: '1.1.0', name: 'mesh', type: 'weave-ts' };
export const POD = { CNI_CONTAINERID: 'pod1', CNI_NETNS: '/run/netns/one', CNI_IFNAME: 'eth0' };

export interface Answer {
  readonly failed: boolean;
  readonly json:
    (Partial<CniResult> & { code?: number; msg?: string; details?: string; cniVersion?: string }) | undefined;
}

/** The plugin over the real attachment service; kernel and allocator are fakes. */
export class CniBench {
  readonly host = new FakeHost();
  readonly addresses = new FakeAddresses(cidr('10.32.0.0/12'));
  readonly store = new MemoryStore();
  readonly attachments: Attachments;
  readonly plugin: CniPlugin;
  obstacle: Obstacle | undefined;
  replays = 0;
  /** Queued DELs that could not be done. */
  replayed: Promise<readonly Buffer[]> = Promise.resolve([]);
  now = 0;
  /** What CHECK is to find otherwise than it was made. */
  change: (state: PodState) => PodState = (state) => state;

  constructor() {
    this.host.namespaces.set('/run/netns/one', 'netns:1');
    this.host.namespaces.set('/run/netns/two', 'netns:2');
    this.attachments = new Attachments({
      bridge: BRIDGE.name,
      mac: BRIDGE.mac,
      mtu: BRIDGE.mtu,
      defaultSubnet: this.addresses.defaultSubnet,
      peer: PEER,
      host: this.host,
      addresses: this.addresses,
      store: this.store,
      log: silentLog,
      now: () => this.now,
      onLocalMacs: () => undefined,
    });
    this.plugin = new CniPlugin({
      attachments: this.attachments,
      bridge: BRIDGE,
      defaultSubnet: this.addresses.defaultSubnet,
      subnetProblem: (subnet) =>
        cidrContains(this.addresses.defaultSubnet, subnet.ip) ? undefined : 'it is not in the range',
      podState: async (record) => {
        const plan = this.planOf(record.hostInterface);
        const there = this.host.plugged.has(record.hostInterface);
        return this.change({
          master: there ? BRIDGE.name : undefined,
          inner: there && plan !== undefined ? { mac: plan.mac, up: true } : undefined,
          addresses: plan?.addresses ?? [],
          routes: plan?.routes ?? [],
          allocated: await this.addresses.lookup(record.id),
          guarded: there,
        });
      },
      allocated: (id) => this.addresses.lookup(id),
      obstacle: () => Promise.resolve(this.obstacle),
      replaySpool: () => {
        this.replays++;
        return this.replayed;
      },
      log: silentLog,
    });
  }

  planOf(hostInterface: string): PortPlan | undefined {
    return this.host.plans.findLast((plan) => plan.hostInterface === hostInterface);
  }

  async call(
    command: string,
    environment: Readonly<Record<string, string>> = POD,
    config: object | string = CONFIG,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Answer> {
    const all = new Map(Object.entries({ CNI_COMMAND: command, ...environment }));
    const input = typeof config === 'string' ? config : JSON.stringify(config);
    const { failed, output } = await this.plugin.call(encodeCallBody({ environment: all, input }), signal);
    return { failed, json: output === '' ? undefined : (JSON.parse(output) as Answer['json']) };
  }

  held(): string[] {
    return [...this.addresses.held].map(([address, id]) => `${address} ${id}`).sort();
  }

  /** Everything that an ADD makes: addresses of pods, ports, records. The host's own address stays. */
  left(): string[] {
    const addresses = this.held().filter((line) => !line.endsWith('weave:expose'));
    const records = [...this.store.values.keys()].filter((key) => !key.endsWith('weave:expose'));
    return [...addresses, ...this.host.plugged.keys(), ...records];
  }
}
