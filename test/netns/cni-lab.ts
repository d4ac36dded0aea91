import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LabHost } from '../../scripts/lab.ts';
import type { CniResult } from '../../plugin/cni/cni-result.ts';

/** As `npm run build:native` makes it; relative to dist/test/netns. */
export const SHIM = fileURLToPath(new URL('../../../native/build/weave-ts-cni', import.meta.url));

export interface CniCall {
  readonly command: string;
  readonly containerId?: string;
  /** Name of an `ip netns` namespace, or a path. */
  readonly netns?: string;
  readonly ifname?: string;
  readonly args?: string;
  readonly config?: object | string;
  /** By default the built shim. */
  readonly program?: string;
  /** Under which name it sees itself. */
  readonly name?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface CniOutcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What was printed, read as JSON; undefined if nothing was. */
  readonly json: CniJson | undefined;
  readonly ms: number;
}

export interface CniJson extends Partial<CniResult> {
  readonly cniVersion?: string;
  readonly supportedVersions?: string[];
  readonly code?: number;
  readonly msg?: string;
  readonly details?: string;
}

export const NETWORK = { cniVersion: '1.1.0', name: 'mesh', type: 'weave-ts' };

/** Three times what a call may take, and less than AVA waits, so that one that hangs is told by its signal. */
const LONGEST_MS = 100_000;

/** One call as a runtime does it. */
export function callCni(call: CniCall): Promise<CniOutcome> {
  const { child, outcome } = startCni(call);
  const { config = NETWORK } = call;
  child.stdin.end(typeof config === 'string' ? config : JSON.stringify(config));
  return outcome;
}

/** The same with standard input still open. */
export function startCni(call: CniCall) {
  const began = performance.now();
  const child = spawn(call.program ?? SHIM, [], {
    argv0: `/opt/cni/bin/${call.name ?? 'weave-ts'}`,
    env: environmentOf(call),
    timeout: LONGEST_MS,
    killSignal: 'SIGKILL',
  });
  child.stdin.on('error', () => undefined);
  const outcome = new Promise<CniOutcome>((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => (stdout += String(chunk)));
    child.stderr.on('data', (chunk) => (stderr += String(chunk)));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const json = stdout === '' ? undefined : (JSON.parse(stdout) as CniJson);
      resolve({ code, signal, stdout, stderr, json, ms: performance.now() - began });
    });
  });
  return { child, outcome };
}

function environmentOf({ command, containerId, netns, ifname, args, environment }: CniCall) {
  const path = netns === undefined || netns === '' || netns.includes('/') ? netns : `/run/netns/${netns}`;
  return {
    PATH: process.env['PATH'],
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: path,
    CNI_IFNAME: ifname,
    CNI_ARGS: args,
    CNI_PATH: '/opt/cni/bin',
    // Unless it is named here, Node passes it on, and the program would not end before it has written its coverage.
    NODE_V8_COVERAGE: undefined,
    ...environment,
  };
}

/** CNI calls for the daemon of one host of a lab. */
export class CniRuntime {
  readonly host: LabHost;

  constructor(host: LabHost) {
    this.host = host;
  }

  /** `config` on top of {@link NETWORK}. */
  call(call: Omit<CniCall, 'config'> & { readonly config?: object }): Promise<CniOutcome> {
    return callCni({ ...call, config: this.config(call.config) });
  }

  config(more: object = {}): object {
    return { ...NETWORK, socket: this.host.socket, ...more };
  }

  /** Which must succeed; resolves to the result. */
  async add(
    containerId: string,
    netns: string,
    more: Partial<CniCall> & { config?: object } = {},
  ): Promise<CniJson> {
    const outcome = await this.call({ command: 'ADD', containerId, netns, ifname: 'eth0', ...more });
    if (outcome.code !== 0 || outcome.json === undefined) throw new Error(`ADD failed: ${outcome.stdout}`);
    return outcome.json;
  }

  async delete(
    containerId: string,
    netns = '',
    more: Partial<CniCall> & { config?: object } = {},
  ): Promise<void> {
    const outcome = await this.call({ command: 'DEL', containerId, netns, ifname: 'eth0', ...more });
    if (outcome.code !== 0) throw new Error(`DEL failed: ${outcome.stdout}`);
  }

  /** Identities of the pods that the daemon knows. */
  async pods(): Promise<string[]> {
    const rows = JSON.parse(await this.host.mustWeave(['ps', '--json'])) as { id: string }[];
    return rows.map(({ id }) => id).filter((id) => id !== 'weave:expose');
  }

  /** Pods, allocated addresses beyond the host's own, host ends and guards that are still there. */
  async leftovers(): Promise<string[]> {
    const { ipam } = await this.host.status();
    const links = await this.host.must(['ip', '-o', 'link', 'show', 'type', 'veth']);
    const guards = await this.host.must(['nft', 'list', 'set', 'bridge', 'weave-ts', 'guarded']);
    return [
      ...(await this.pods()),
      ...(ipam.active > 1 ? [`${ipam.active} addresses`] : []),
      ...(links.match(/vethwe\w+/g) ?? []),
      ...(guards.match(/vethwe\w+/g) ?? []),
    ];
  }

  /** Packets that a counter of our tables has seen. */
  async counter(name: string, family = 'bridge'): Promise<number> {
    const text = await this.host.must(['nft', 'list', 'counter', family, 'weave-ts', name]);
    return Number(/packets (\d+)/.exec(text)?.[1]);
  }
}
