import type { ExecutionContext } from 'ava';
import { formatCidr, parseCidr } from '../../core/address.ts';
import type { Cidr } from '../../core/address.ts';
import { silentLog } from '../../core/log.ts';
import type { StorePort } from '../../core/store.ts';
import { parsePeerName } from '../../core/peer-name.ts';
import { Attachments } from '../../plugin/host/attachments.ts';
import { tapName } from '../../plugin/host/bridge.ts';
import { HostCommands } from '../../plugin/host/commands.ts';
import { HostNetwork } from '../../plugin/host/host-network.ts';
import type { KernelPort } from '../../plugin/host/kernel.ts';
import { bridgeMac } from '../../plugin/host/mac-address.ts';
import { runProgram } from '../../plugin/host/run.ts';
import { FakeAddresses, MemoryStore } from '../plugin/host/host-fakes.ts';

export const PEER = parsePeerName('7a:00:00:00:00:01')!;
export const RANGE: Cidr = parseCidr('10.32.0.0/12')!;
const MTU = 1_388;

let made = 0;

/** A host in a namespace of its own, with a namespace outside that it reaches over 192.0.2.0/24, and containers. */
export class HostLab {
  readonly names: string[] = [];
  readonly name: string;
  readonly commands: HostCommands;
  readonly addresses = new FakeAddresses(RANGE);
  readonly store = new MemoryStore();
  readonly macs: string[] = [];
  now = 0;

  constructor() {
    this.name = this.#newName('host');
    this.commands = new HostCommands(`/run/netns/${this.name}`);
  }

  static async start(t: ExecutionContext): Promise<HostLab> {
    const lab = new HostLab();
    t.teardown(() => lab.stop());
    await lab.addNamespace(lab.name);
    return lab;
  }

  network(options: { changeFirewall?: boolean; kernel?: KernelPort; bridge?: string } = {}): HostNetwork {
    const settings = {
      bridge: options.bridge ?? 'weave',
      tap: tapName(options.bridge ?? 'weave'),
      mac: bridgeMac(PEER),
      mtu: MTU,
      range: RANGE,
      controlPort: 6783,
      changeFirewall: options.changeFirewall ?? true,
    };
    return new HostNetwork(this.commands, settings, options.kernel);
  }

  attachments(host: HostNetwork, store: StorePort = this.store): Attachments {
    return new Attachments({
      bridge: host.settings.bridge,
      mac: bridgeMac(PEER),
      mtu: MTU,
      defaultSubnet: RANGE,
      peer: PEER,
      host,
      addresses: this.addresses,
      store,
      log: silentLog,
      now: () => this.now,
      onLocalMacs: (macs) => void this.macs.push(Buffer.from(macs).toString('hex')),
    });
  }

  /** A namespace with loopback up; its name. */
  async container(kind = 'c'): Promise<string> {
    const name = this.#newName(kind);
    await this.addNamespace(name);
    return name;
  }

  /** A neighbour of the host at 192.0.2.2, which is its default route and knows nothing of the mesh. */
  async outside(): Promise<string> {
    const name = await this.container('out');
    await this.ip(this.name, [
      ['link', 'add', 'name', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name],
      ['address', 'add', '192.0.2.1/24', 'dev', 'eth0'],
      ['link', 'set', 'dev', 'eth0', 'up'],
    ]);
    await this.ip(name, [
      ['address', 'add', '192.0.2.2/24', 'dev', 'eth0'],
      ['link', 'set', 'dev', 'eth0', 'up'],
    ]);
    await this.ip(this.name, [['route', 'add', 'default', 'via', '192.0.2.2']]);
    return name;
  }

  async addNamespace(name: string): Promise<void> {
    await runProgram('ip', ['netns', 'add', name]);
    this.names.push(name);
    await this.ip(name, [['link', 'set', 'dev', 'lo', 'up']]);
  }

  /** Removes one namespace before the end of the test. */
  async removeNamespace(name: string): Promise<void> {
    await runProgram('ip', ['netns', 'delete', name]);
    this.names.splice(this.names.indexOf(name), 1);
  }

  /** Commands of `ip`, in words, one after another. */
  async ip(namespace: string, batch: readonly (readonly string[])[]): Promise<void> {
    const input = batch.map((command) => `${command.join(' ')}\n`).join('');
    await new HostCommands(`/run/netns/${namespace}`).run('ip', ['-batch', '-'], { input });
  }

  run(namespace: string, program: string, ...args: string[]): Promise<string> {
    return new HostCommands(`/run/netns/${namespace}`).run(program, args);
  }

  /** Whether an echo request is answered within two seconds. */
  async pings(from: string, to: string): Promise<boolean> {
    return this.run(from, 'ping', '-n', '-c', '1', '-w', '2', '-i', '0.3', to.replace(/\/.*/, '')).then(
      () => true,
      () => false,
    );
  }

  held(): string[] {
    return [...this.addresses.held.keys()].map((text) => formatCidr(parseCidr(text)!)).sort();
  }

  async stop(): Promise<void> {
    for (const name of this.names.splice(0).reverse()) {
      await runProgram('ip', ['netns', 'delete', name]).catch(() => undefined);
    }
  }

  #newName(kind: string): string {
    return `wt-${process.pid}-${++made}-${kind}`;
  }
}
