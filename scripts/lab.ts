import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callApi } from '../router/api/client.ts';
import type { StatusDocument } from '../router/status.ts';
import { builtCli } from './built-cli.ts';
import { must, run, start, until, type Outcome, type RunOptions } from './run.ts';

const CLI = builtCli();
/** So many find room in any kernel's table of neighbours. */
const FEW_HOSTS = 10;

/** Builds a lab; what was built of one that fails is removed. */
export async function builtOrRemoved(
  lab: { remove(): Promise<void> },
  build: () => Promise<void>,
): Promise<void> {
  try {
    await build();
  } catch (error) {
    await lab.remove();
    throw error;
  }
}

/**
 * A small network of test hosts: each is a network namespace with one underlay interface; a further namespace bridges
 * them and can be told to drop what some host sends to another. All names begin with `prefix`, so that several labs
 * can exist at once. Addresses are of the documentation ranges.
 */
export class Lab {
  readonly prefix: string;
  readonly dir: string;
  readonly hosts: readonly LabHost[];
  readonly #cuts = new Set<string>();

  private constructor(prefix: string, count: number) {
    this.prefix = prefix;
    this.dir = mkdtempSync(join(tmpdir(), `${prefix}-`));
    this.hosts = Array.from({ length: count }, (_, i) => new LabHost(this, i + 1));
  }

  /** Makes `count` hosts (at most 250) that all reach one another. What an interrupted lab of this prefix left is removed. */
  static async create(prefix: string, count: number): Promise<Lab> {
    await Lab.sweep(prefix);
    makeRoomForNeighbours(count);
    const lab = new Lab(prefix, count);
    await builtOrRemoved(lab, () => lab.#build());
    return lab;
  }

  /** Removes every namespace and file of a prefix, and ends, by its id, whatever still runs in one. */
  static async sweep(prefix: string): Promise<void> {
    const listed = (await must(['ip', 'netns', 'list'])).split('\n').map((line) => line.split(' ')[0]!);
    for (const name of listed.filter((line) => line.startsWith(`${prefix}-`))) {
      const pids = (await must(['ip', 'netns', 'pids', name])).split('\n').filter((line) => line !== '');
      for (const pid of pids) if (isAlive(Number(pid))) process.kill(Number(pid), 'SIGKILL');
      await must(['ip', 'netns', 'del', name]);
    }
    for (const name of readdirSync(tmpdir()).filter((file) => file.startsWith(`${prefix}-`))) {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    }
  }

  /** From now on a signal that ends this process removes what it made under this prefix first. */
  static sweepWhenInterrupted(prefix: string): void {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => void Lab.sweep(prefix).finally(() => process.exit(130)));
    }
  }

  /** The namespace that bridges the hosts; `tcpdump` on its br0 sees the whole underlay. */
  get underlay(): string {
    return `${this.prefix}-net`;
  }

  /** A namespace of the lab, removed with it. Loopback is up. */
  async namespace(name: string): Promise<string> {
    const full = `${this.prefix}-${name}`;
    await must(['ip', 'netns', 'add', full]);
    await must(['ip', '-n', full, 'link', 'set', 'lo', 'up']);
    return full;
  }

  /** Drops all frames from host `a` to host `b`; both ways unless `oneWay`. Hosts count from 1. */
  async cut(a: number, b: number, oneWay = false): Promise<void> {
    this.#cuts.add(`${a} ${b}`);
    if (!oneWay) this.#cuts.add(`${b} ${a}`);
    await this.#applyCuts();
  }

  /** Waits until every host has an established connection and a direct link to every other. Returns the ms that took. */
  meshed(limit = 30_000): Promise<number> {
    return until('every link up and direct', limit, async () => (await this.problems()).length === 0);
  }

  /** What is missing from a full mesh of established connections and direct links; empty if nothing is. */
  async problems(): Promise<string[]> {
    const problems: string[] = [];
    const others = this.hosts.length - 1;
    for (const host of this.hosts) {
      const { router } = await host.status();
      const established = router.connections.filter((c) => c.state === 'established').length;
      const direct = router.links.filter((l) => l.state === 'up' && l.path === 'direct').length;
      if (established !== others) problems.push(`${host.netns}: ${established} of ${others} connections`);
      if (direct !== others) problems.push(`${host.netns}: ${direct} of ${others} links up and direct`);
    }
    return problems;
  }

  async heal(): Promise<void> {
    this.#cuts.clear();
    await this.#applyCuts();
  }

  /** Stops every daemon and removes every namespace and file. Never rejects; what fails is reported on stderr. */
  async remove(): Promise<void> {
    for (const host of this.hosts) await host.kill().catch(report);
    await Lab.sweep(this.prefix).catch(report);
  }

  async #build(): Promise<void> {
    await this.namespace('net');
    const plumbing = ['link add br0 type bridge mcast_snooping 0', 'link set br0 up'];
    for (const host of this.hosts) {
      await this.namespace(`h${host.number}`);
      plumbing.push(
        `link add p${host.number} type veth peer name eth0 netns ${host.netns}`,
        `link set p${host.number} master br0 up`,
      );
    }
    await must(['ip', '-n', this.underlay, '-batch', '-'], { input: plumbing.join('\n') + '\n' });
    for (const host of this.hosts) await host.configure();
  }

  async #applyCuts(): Promise<void> {
    const rules = [...this.#cuts].map((cut) => {
      const [from, to] = cut.split(' ');
      return `iifname "p${from}" oifname "p${to}" drop`;
    });
    const ruleset = `table bridge lab
delete table bridge lab
table bridge lab {
chain cuts {
type filter hook forward priority 0
${rules.join('\n')}
}
}
`;
    await must(['ip', 'netns', 'exec', this.underlay, 'nft', '-f', '-'], { input: ruleset });
  }
}

/** A namespace attached to the mesh by one of the hosts: what stands for a container. */
export class Container {
  readonly host: LabHost;
  readonly netns: string;
  readonly cidr: string;

  constructor(host: LabHost, netns: string, cidr: string) {
    this.host = host;
    this.netns = netns;
    this.cidr = cidr;
  }

  /** Without the prefix length. */
  get address(): string {
    return this.cidr.split('/')[0]!;
  }

  /** The argument list that runs `argv` inside. */
  inside(argv: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.netns, ...argv];
  }

  run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return run(this.inside(argv), options);
  }

  must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return must(this.inside(argv), options);
  }

  /** One echo request, answered within a second. */
  async pings(address: string): Promise<boolean> {
    return (await this.run(['ping', '-q', '-c', '1', '-W', '1', address])).code === 0;
  }

  /** Waits until an echo request to `other` is answered; returns the ms that took, rejects after `limit`. */
  reaches(other: Container, limit = 20_000): Promise<number> {
    return until(`ping ${this.netns} -> ${other.netns}`, limit, () => this.pings(other.address));
  }
}

/** One host of a lab, and the daemon on it. */
export class LabHost {
  readonly #lab: Lab;
  readonly number: number;
  readonly netns: string;
  readonly address: string;
  readonly address6: string;
  readonly dir: string;
  readonly socket: string;

  constructor(lab: Lab, number: number) {
    this.#lab = lab;
    this.number = number;
    this.netns = `${lab.prefix}-h${number}`;
    this.address = `192.0.2.${number}`;
    this.address6 = `2001:db8::${number.toString(16)}`;
    this.dir = join(lab.dir, `h${number}`);
    this.socket = join(this.dir, 'run', 'api.sock');
  }

  async configure(): Promise<void> {
    const batch = [
      `addr add ${this.address}/24 dev eth0`,
      `addr add ${this.address6}/64 dev eth0 nodad`,
      'link set eth0 up',
    ];
    await must(['ip', '-n', this.netns, '-batch', '-'], { input: batch.join('\n') + '\n' });
  }

  /** Runs a program inside this host's namespace. */
  run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return run(['ip', 'netns', 'exec', this.netns, ...argv], options);
  }

  must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return must(['ip', 'netns', 'exec', this.netns, ...argv], options);
  }

  /** Runs the CLI on this host, whatever its exit code. */
  weave(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return this.run([process.execPath, CLI, '--socket', this.socket, ...args], options);
  }

  /** Runs the CLI, which must succeed; returns what it printed, without the line end. */
  async mustWeave(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const output = await this.must([process.execPath, CLI, '--socket', this.socket, ...args], options);
    return output.trimEnd();
  }

  launch(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return this.mustWeave(['launch', ...this.launchFlags(), ...args], options);
  }

  /** Starts the daemon as systemd does, in the foreground; `kill`, or the end of the lab, ends it. */
  startDaemon(args: readonly string[]): ChildProcess {
    const cli = [process.execPath, CLI, '--socket', this.socket, 'launch', '--foreground'];
    return start(['ip', 'netns', 'exec', this.netns, ...cli, ...this.launchFlags(), ...args]);
  }

  launchFlags(): string[] {
    return ['--state-dir', join(this.dir, 'state'), '--nickname', `host${this.number}`];
  }

  /** Makes a namespace of the lab and attaches it, with further arguments of `attach`. */
  async container(name: string, args: readonly string[] = []): Promise<Container> {
    const netns = await this.#lab.namespace(name);
    const cidr = await this.mustWeave(['attach', netns, ...args]);
    return new Container(this, netns, cidr.split(' ')[0]!);
  }

  /** Without the cost of a process: what `weave-ts status --json` prints. */
  async status(): Promise<StatusDocument> {
    return (await callApi(this.socket, 'GET', '/status')) as StatusDocument;
  }

  /** The daemon's process id; undefined if none was started or its file is gone. */
  async pid(): Promise<number | undefined> {
    const outcome = await run(['cat', this.socket.replace(/\.sock$/, '.pid')]);
    return outcome.code === 0 ? Number(outcome.stdout.trim()) : undefined;
  }

  /** kill -9 of the daemon, by its id, if it runs; returns when it is gone. */
  async kill(): Promise<void> {
    const pid = await this.pid();
    if (pid === undefined) return;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      return;
    }
    await until(`process ${pid} gone`, 5_000, () => Promise.resolve(!isAlive(pid)));
  }
}

/**
 * A kernel counts the neighbours (ARP, ND) of all its namespaces together and drops packets where they are too many, which
 * hosts with a kernel each would not. What is raised stays raised.
 */
function makeRoomForNeighbours(hosts: number): void {
  if (hosts <= FEW_HOSTS) return;
  const wanted = 1_024 + 4 * hosts * hosts;
  for (const family of ['ipv4', 'ipv6']) {
    for (const threshold of ['gc_thresh3', 'gc_thresh2', 'gc_thresh1']) {
      const file = `/proc/sys/net/${family}/neigh/default/${threshold}`;
      if (Number(readFileSync(file, 'utf8')) < wanted) writeFileSync(file, String(wanted));
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function report(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
}
