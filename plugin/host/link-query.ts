import { parseCidr, parseIp } from '../../core/address.ts';
import type { Cidr, IpAddress } from '../../core/address.ts';
import type { HostCommands } from './commands.ts';
import { CommandError } from './run.ts';

export interface Link {
  readonly name: string;
  readonly index: number;
  /** Bytes. */
  readonly mtu: number;
  /** Lower-case, with colons; empty where the kind has none. */
  readonly mac: string;
  readonly up: boolean;
  /** Up, with a carrier; only then does a bridge port forward. */
  readonly operational: boolean;
  readonly loopback: boolean;
  /** The bridge that it is a port of. */
  readonly master: string | undefined;
  /** "veth", "bridge", "tun"; undefined for hardware. */
  readonly kind: string | undefined;
}

export interface InterfaceAddress {
  readonly interface: string;
  readonly cidr: Cidr;
}

export interface Route {
  /** The network; host bits zero. */
  readonly destination: Cidr;
  /** Undefined for blackhole and the like, and for multipath. */
  readonly interface: string | undefined;
  /** The gateway, if there is one. */
  readonly via: IpAddress | undefined;
  /** "unicast" unless the kernel says otherwise: "blackhole", "local", "broadcast", "multicast", ... */
  readonly type: string;
  /** In the table that packets without a rule of their own go by. */
  readonly main: boolean;
  /** Zero where none is shown. */
  readonly metric: number;
}

type Row = Readonly<Record<string, unknown>>;

/** What the host has at one time. */
export interface HostState {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly Route[];
}

/** With one program. The family of default routes is not told, and counts as IPv4. */
export async function readHostState(host: HostCommands): Promise<HostState> {
  const input = 'address show\nroute show table all\n';
  const output = await host.run('ip', ['-json', '-details', '-batch', '-'], { input });
  return parseHostState(output);
}

/** The output of `ip -json -details -batch` for addresses and for routes, which may be nothing. */
export function parseHostState(output: string): HostState {
  const [links = '', routes = ''] = output.split('\n').filter((line) => line.trim() !== '');
  return { links: parseLinks(links), addresses: parseAddresses(links), routes: parseRoutes(routes, 4) };
}

export async function listLinks(host: HostCommands): Promise<Link[]> {
  return parseLinks(await host.run('ip', ['-json', '-details', 'link', 'show']));
}

/** Undefined if there is no such interface. */
export async function findLink(host: HostCommands, name: string): Promise<Link | undefined> {
  try {
    return parseLinks(await host.run('ip', ['-json', '-details', 'link', 'show', 'dev', name]))[0];
  } catch (error) {
    if (error instanceof CommandError && error.stderr.includes('does not exist')) return undefined;
    throw error;
  }
}

export async function listAddresses(host: HostCommands): Promise<InterfaceAddress[]> {
  return parseAddresses(await host.run('ip', ['-json', 'address', 'show']));
}

/** Every table, both families. */
export async function listRoutes(host: HostCommands): Promise<Route[]> {
  const ask = (family: '-4' | '-6'): Promise<string> =>
    host.run('ip', ['-json', '-details', family, 'route', 'show', 'table', 'all']);
  const [four, six] = await Promise.all([ask('-4'), ask('-6')]);
  return [...parseRoutes(four, 4), ...parseRoutes(six, 6)];
}

/** The output of `ip -json -details link show`. Rows that lack a name, an index or an MTU are passed over. */
export function parseLinks(json: string): Link[] {
  return rowsOf(json).flatMap((row) => {
    const name = row['ifname'];
    const index = row['ifindex'];
    const mtu = row['mtu'];
    if (typeof name !== 'string' || typeof index !== 'number' || typeof mtu !== 'number') return [];
    const flags = Array.isArray(row['flags']) ? row['flags'] : [];
    const info = isRow(row['linkinfo']) ? row['linkinfo'] : {};
    return [
      {
        name,
        index,
        mtu,
        mac: textOf(row['address']) ?? '',
        up: flags.includes('UP'),
        operational: row['operstate'] === 'UP',
        loopback: flags.includes('LOOPBACK'),
        master: textOf(row['master']),
        kind: textOf(info['info_kind']),
      },
    ];
  });
}

/** The output of `ip -json address show`. */
export function parseAddresses(json: string): InterfaceAddress[] {
  return rowsOf(json).flatMap((row) => {
    const name = textOf(row['ifname']);
    const list = Array.isArray(row['addr_info']) ? row['addr_info'].filter(isRow) : [];
    if (name === undefined) return [];
    return list.flatMap((entry) => {
      const cidr = parseCidr(`${textOf(entry['local']) ?? ''}/${String(entry['prefixlen'])}`);
      return cidr === undefined ? [] : [{ interface: name, cidr }];
    });
  });
}

/** The output of `ip -json -details -4|-6 route show`. */
export function parseRoutes(json: string, family: 4 | 6): Route[] {
  return rowsOf(json).flatMap((row) => {
    const destination = parseDestination(textOf(row['dst']) ?? '', family);
    if (destination === undefined) return [];
    const via = parseIp(textOf(row['gateway']) ?? '');
    const table = textOf(row['table']) ?? 'main';
    const metric = typeof row['metric'] === 'number' ? row['metric'] : 0;
    const [dev, type] = [textOf(row['dev']), textOf(row['type']) ?? 'unicast'];
    return [{ destination, interface: dev, via, type, main: table === 'main', metric }];
  });
}

function parseDestination(text: string, family: 4 | 6): Cidr | undefined {
  if (text === 'default') return { ip: { family, value: 0n }, prefix: 0 };
  const ip = parseIp(text);
  return ip === undefined ? parseCidr(text) : { ip, prefix: ip.family === 4 ? 32 : 128 };
}

/** iproute2 prints nothing at all, instead of an empty list, where there is nothing to show. */
function rowsOf(json: string): Row[] {
  if (json.trim() === '') return [];
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    throw new Error('ip -json gave something that is not JSON');
  }
  return Array.isArray(parsed) ? parsed.filter(isRow) : [];
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
