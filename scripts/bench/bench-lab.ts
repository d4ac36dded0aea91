import { mkdtempSync, writeFileSync } from 'node:fs';
import type { ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab, builtOrRemoved } from '../lab.ts';
import { end, must, start, type RunOptions } from '../run.ts';

export type HostNumber = 1 | 2;
export const HOSTS = [1, 2] as const;
export const UNDERLAY_MTU = 1500;

export interface Daemon {
  /** 0 if it could not be started. */
  readonly pid: number;
  /** The end of what it printed. */
  said(): string;
}

/**
 * Two hosts and two pods, each a network namespace. The hosts are joined by one veth pair, called eth0 on both, MTU
 * 1500; nothing else is set up.
 */
export class BenchLab {
  readonly prefix: string;
  /** Files of the tunnels; removed with the lab. */
  readonly dir: string;
  /** Aborted when the run is to end: whoever waits for something in the lab stops waiting. */
  readonly signal: AbortSignal;
  readonly #daemons: { readonly child: ChildProcess; said: string }[] = [];

  private constructor(prefix: string, signal: AbortSignal) {
    this.prefix = prefix;
    this.signal = signal;
    this.dir = mkdtempSync(join(tmpdir(), `${prefix}-`));
  }

  /** What an earlier lab of that prefix left behind is removed first. */
  static async create(prefix: string, signal: AbortSignal): Promise<BenchLab> {
    await Lab.sweep(prefix);
    const lab = new BenchLab(prefix, signal);
    await builtOrRemoved(lab, () => lab.#build());
    return lab;
  }

  host(number: HostNumber): string {
    return `${this.prefix}-h${number}`;
  }

  pod(number: HostNumber): string {
    return `${this.prefix}-p${number}`;
  }

  underlay(number: HostNumber): string {
    return `192.0.2.${number}`;
  }

  /** Writes a file of the lab that only root reads; returns its path. */
  file(name: string, content: string): string {
    const path = join(this.dir, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  /** Runs a program on a host; it must succeed. */
  must(number: HostNumber, argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return must(inside(this.host(number), argv), options);
  }

  /** Starts a program on a host that runs until the lab is removed. */
  daemon(number: HostNumber, argv: readonly string[], options: RunOptions = {}): Daemon {
    const daemon = { child: start(inside(this.host(number), argv), options), said: '' };
    for (const stream of [daemon.child.stdout, daemon.child.stderr]) {
      stream?.on('data', (chunk) => (daemon.said = (daemon.said + String(chunk)).slice(-2_000)));
    }
    daemon.child.on('error', (error) => (daemon.said += error.message));
    this.#daemons.push(daemon);
    return { pid: daemon.child.pid ?? 0, said: () => daemon.said };
  }

  /** IP fragments that the hosts have made: none, unless a tunnel's MTU is too large for the underlay. */
  async fragmentsMade(): Promise<number> {
    const snmp = await Promise.all(HOSTS.map((n) => this.must(n, ['cat', '/proc/net/snmp'])));
    return snmp.map(fragmentsOf).reduce((sum, count) => sum + count, 0);
  }

  /** The last words of the lab's daemons, for messages about failures. */
  lastWords(): string {
    return this.#daemons
      .map(({ child, said }) => `${child.spawnargs.slice(4, 6).join(' ')}: ${said.trim()}`)
      .join('; ');
  }

  /** Ends every process in the lab and removes namespaces and files. Never rejects; failures go to stderr. */
  async remove(): Promise<void> {
    try {
      for (const { child } of this.#daemons) await end(child, 2_000);
      await Lab.sweep(this.prefix);
    } catch (error) {
      process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }

  async #build(): Promise<void> {
    for (const name of [...HOSTS.map((n) => this.host(n)), ...HOSTS.map((n) => this.pod(n))]) {
      await must(['ip', 'netns', 'add', name]);
      await ip(name, ['link set lo up']);
    }
    await ip(this.host(1), [
      `link add eth0 mtu ${UNDERLAY_MTU} type veth peer name eth0 netns ${this.host(2)}`,
    ]);
    for (const n of HOSTS) {
      await ip(this.host(n), [
        `addr add ${this.underlay(n)}/24 dev eth0`,
        `link set eth0 mtu ${UNDERLAY_MTU} up`,
      ]);
    }
  }
}

/** The argument list that runs `argv` in a network namespace. */
export function inside(namespace: string, argv: readonly string[]): string[] {
  return ['ip', 'netns', 'exec', namespace, ...argv];
}

/** Runs lines of `ip -batch` in a namespace. */
export async function ip(namespace: string, lines: readonly string[]): Promise<void> {
  await must(['ip', '-n', namespace, '-batch', '-'], { input: lines.join('\n') + '\n' });
}

/** FragCreates of a /proc/net/snmp, whose lines "Ip:" are names and values. */
function fragmentsOf(snmp: string): number {
  const [names, values] = snmp.split('\n').filter((line) => line.startsWith('Ip: '));
  return Number(values?.split(' ')[names?.split(' ').indexOf('FragCreates') ?? -1] ?? NaN);
}
