import type { ChildProcess } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LabHost } from '../../scripts/lab.ts';
import { end, must, run, start, until } from '../../scripts/run.ts';
import type { Outcome } from '../../scripts/run.ts';
import { IMAGE } from './busybox-image.ts';

const PLUGINS = '/usr/lib/cni';
/** `ctr` has the first two written in; the third is where plugins keep state. */
const PLACES = { '/opt/cni/bin': 'bin', '/etc/cni/net.d': 'conf', '/var/lib/cni': 'cni' } as const;

/** A containerd of its own on one host of a lab: its own mount namespace with its own plugins and configuration. */
export class ContainerdHost {
  readonly host: LabHost;
  readonly folder: string;
  readonly #running = new Set<string>();
  #executions = 0;
  #daemon: ChildProcess | undefined;

  constructor(host: LabHost) {
    this.host = host;
    this.folder = join(host.dir, 'containerd');
  }

  get binDir(): string {
    return join(this.folder, 'bin');
  }

  get confDir(): string {
    return join(this.folder, 'conf');
  }

  /** Starts containerd with the portmap and bandwidth plugins of Debian, and loads the image. */
  async start(image: string): Promise<void> {
    for (const name of Object.values(PLACES)) mkdirSync(join(this.folder, name), { recursive: true });
    for (const name of ['portmap', 'bandwidth', 'loopback']) {
      copyFileSync(join(PLUGINS, name), join(this.binDir, name));
    }
    for (const place of Object.keys(PLACES)) mkdirSync(place, { recursive: true });
    writeFileSync(join(this.folder, 'config.toml'), this.#configuration());
    const mounts = Object.entries(PLACES).map(
      ([to, name]) => `mount --bind ${join(this.folder, name)} ${to}`,
    );
    const script = [...mounts, `exec containerd --config ${join(this.folder, 'config.toml')}`].join(' && ');
    const enter = ['nsenter', `--net=/run/netns/${this.host.netns}`];
    this.#daemon = start([...enter, 'unshare', '-m', '--propagation', 'private', 'sh', '-c', script]);
    let said = '';
    this.#daemon.stderr!.on('data', (chunk) => (said += String(chunk)));
    await until('containerd serves', 60_000, () => Promise.resolve(said.includes('successfully booted')));
    await this.#mustCtr(['images', 'import', '--snapshotter', 'native', image]);
  }

  /** The files that the runtime sees: plugin and configuration of the mesh. */
  async installPlugin(args: readonly string[] = []): Promise<void> {
    await this.host.mustWeave([
      'cni',
      'install',
      '--bin-dir',
      this.binDir,
      '--conf-dir',
      this.confDir,
      ...args,
    ]);
    await until('the configuration is there', 30_000, () => Promise.resolve(existsSync(this.conflistPath)));
  }

  get conflistPath(): string {
    return join(this.confDir, '10-weave-ts.conflist');
  }

  conflist(): Conflist {
    return JSON.parse(readFileSync(this.conflistPath, 'utf8')) as Conflist;
  }

  /** Starts a container that does nothing; with `network` the runtime calls the CNI plugins for it. */
  async run(name: string, network: boolean): Promise<RealContainer> {
    this.#running.add(name);
    const flags = ['-d', '--snapshotter', 'native', ...(network ? ['--cni'] : [])];
    await this.#mustCtr(['run', ...flags, IMAGE, name, '/bin/sleep', '3600']);
    const listed = await this.#mustCtr(['task', 'ls']);
    const pid = Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(listed)?.[1]);
    return new RealContainer(this, name, pid);
  }

  /** Kills and deletes a container; the runtime's own clean-up does not tell CNI. */
  async remove(name: string): Promise<void> {
    await this.ctr(['task', 'kill', '-s', 'KILL', name]);
    await until(`${name} is dead`, 30_000, async () => (await this.ctr(['task', 'rm', name])).code === 0);
    await this.#mustCtr(['container', 'rm', name]);
    this.#running.delete(name);
  }

  exec(name: string, argv: readonly string[]): Promise<Outcome> {
    const id = `exec${++this.#executions}`;
    return this.ctr(['task', 'exec', '--exec-id', id, name, ...argv]);
  }

  ctr(args: readonly string[]): Promise<Outcome> {
    return run(this.enter(['ctr', '-a', this.#socket, '-n', 'lab', ...args]), { limit: 120_000 });
  }

  /** The argument list that runs `argv` where the runtime is. */
  enter(argv: readonly string[]): string[] {
    return ['nsenter', '-t', String(this.#daemon!.pid), '-m', '-n', '--', ...argv];
  }

  /** Never rejects. */
  async stop(): Promise<void> {
    if (this.#daemon === undefined) return;
    for (const name of [...this.#running]) await this.remove(name).catch(() => undefined);
    await end(this.#daemon).catch(() => undefined);
  }

  async #mustCtr(args: readonly string[]): Promise<string> {
    return must(this.enter(['ctr', '-a', this.#socket, '-n', 'lab', ...args]), { limit: 120_000 });
  }

  get #socket(): string {
    return join(this.folder, 'c.sock');
  }

  #configuration(): string {
    return `version = 2
root = "${join(this.folder, 'root')}"
state = "${join(this.folder, 'state')}"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${this.#socket}"
`;
  }
}

/** A container that runs. */
export class RealContainer {
  readonly at: ContainerdHost;
  readonly name: string;
  readonly pid: number;

  constructor(at: ContainerdHost, name: string, pid: number) {
    this.at = at;
    this.name = name;
    this.pid = pid;
  }

  get netns(): string {
    return `/proc/${this.pid}/ns/net`;
  }

  async address(): Promise<string> {
    const text = await must(['nsenter', `--net=${this.netns}`, 'ip', '-4', '-o', 'addr', 'show', 'eth0']);
    return /inet ([\d.]+)\//.exec(text)![1]!;
  }
}

export interface Conflist {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly { readonly type: string; readonly capabilities?: Record<string, boolean> }[];
}

interface Pod {
  readonly containerId: string;
  /** Empty: gone. */
  readonly netns: string;
  readonly capabilities: Readonly<Record<string, unknown>>;
}

/** Calls the plugins of the conflist as libcni does: ADD in order, each with the result so far, DEL backwards. */
export async function runChain(
  at: ContainerdHost,
  command: 'ADD' | 'DEL',
  pod: Pod,
  before?: object,
): Promise<object | undefined> {
  const { plugins, cniVersion, name } = at.conflist();
  let prevResult = before;
  for (const plugin of command === 'DEL' ? [...plugins].reverse() : plugins) {
    const wanted = Object.keys(plugin.capabilities ?? {}).filter((key) => key in pod.capabilities);
    const runtimeConfig = Object.fromEntries(wanted.map((key) => [key, pod.capabilities[key]]));
    const config = { ...plugin, cniVersion, name, runtimeConfig, prevResult };
    const output = await must(at.enter([`/opt/cni/bin/${plugin.type}`]), {
      input: JSON.stringify(config),
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: pod.containerId,
        CNI_NETNS: pod.netns,
        CNI_IFNAME: 'eth0',
        CNI_PATH: '/opt/cni/bin',
        CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=lab;K8S_POD_NAME=web',
      },
    });
    if (command === 'ADD') prevResult = JSON.parse(output) as object;
  }
  return prevResult;
}

/** What is left in the plugin folders; for messages. */
export function filesOf(at: ContainerdHost): string[] {
  return [...readdirSync(at.binDir), ...readdirSync(at.confDir)].sort();
}
