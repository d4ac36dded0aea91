import { resolve } from 'node:path';
import { formatCidr, parseCidr, parseIp, type Cidr } from '../core/address.ts';
import { parsePeerName } from '../core/peer-name.ts';
import type { LogLevel } from '../core/log.ts';
import { MAX_GIVEN } from '../gossip/connection-maker.ts';
import { parseTarget } from '../gossip/target-address.ts';
import { parseInitMode } from '../ipam/init-mode.ts';
import { parseIpamSettings } from '../ipam/settings.ts';
import { socketPathProblem } from '../router/api/client.ts';
import { MOST_LANES } from '../router/wire/lanes.ts';
import { BadValue } from './exit.ts';

export const DEFAULT_SOCKET = '/run/weave-ts/api.sock';
export const DEFAULT_STATE_DIR = '/var/lib/weave-ts';

/** The flags of `launch` as commander hands them over. */
export interface LaunchFlags {
  readonly name?: string;
  readonly nickname?: string;
  readonly host?: string;
  readonly port: string;
  readonly ipallocRange: string;
  readonly ipallocDefaultSubnet?: string;
  readonly ipallocInit?: string;
  readonly trustedSubnets?: string;
  readonly discovery: boolean;
  readonly connLimit: string;
  readonly mtu?: string;
  readonly bridge: string;
  readonly stateDir: string;
  readonly engine: string;
  readonly workers: string;
  readonly fullMeshLimit: string;
  readonly hostFirewall: boolean;
  readonly logLevel: string;
  readonly resume: boolean;
}

/** Checked settings of one daemon: plain data, handed to the daemon's process as JSON. */
export interface LaunchSettings {
  readonly peers: readonly string[];
  readonly name: string | undefined;
  readonly nickname: string;
  readonly host: string | undefined;
  readonly port: number;
  readonly range: string;
  readonly defaultSubnet: string;
  readonly init: string | undefined;
  readonly trustedSubnets: readonly string[];
  readonly discovery: boolean;
  /** 0 = no limit. */
  readonly connLimit: number;
  readonly mtu: number | undefined;
  readonly bridge: string;
  readonly stateDir: string;
  readonly engine: 'auto' | 'native' | 'portable';
  readonly workers: number;
  readonly fullMeshLimit: number;
  readonly hostFirewall: boolean;
  readonly logLevel: LogLevel;
  readonly resume: boolean;
  readonly socket: string;
  /** Where SIGHUP and `rotate` read passwords again; undefined = they came some other way. */
  readonly passwordFile: string | undefined;
}

/** Below it an IPv6 packet of minimum size would not fit (RFC 8200). */
const SMALLEST_MTU = 1_280;
const LARGEST_MTU = 65_535 - 112;
const LONGEST_NICKNAME = 255;
/** IFNAMSIZ less the end mark, less "-tap". */
const LONGEST_BRIDGE = 11;

/** Checks every value; throws {@link BadValue} naming the first that is wrong and what would be right. */
export function checkSettings(
  flags: LaunchFlags,
  peers: readonly string[],
  surroundings: {
    readonly hostName: string;
    readonly socket: string;
    readonly passwordFile: string | undefined;
  },
): LaunchSettings {
  const ipam = parseIpamSettings(flags.ipallocRange, flags.ipallocDefaultSubnet);
  if ('error' in ipam) throw new BadValue(ipam.error);
  const init = parseInitMode(flags.ipallocInit ?? '', peers.length);
  if ('error' in init) throw new BadValue(init.error);
  if (peers.length > MAX_GIVEN)
    throw new BadValue(`${peers.length} peers are given: at most ${MAX_GIVEN} can be`);
  const engine = choiceValue('--engine', flags.engine, ['auto', 'native', 'portable']);
  return {
    peers: peers.map(peerValue),
    name: flags.name === undefined ? undefined : nameValue(flags.name),
    nickname: nicknameValue(flags.nickname ?? surroundings.hostName),
    host: flags.host === undefined ? undefined : hostValue(flags.host),
    port: integerValue('--port', flags.port, 1, 65_535),
    range: ipam.range.text,
    defaultSubnet: formatCidr(ipam.defaultSubnet),
    init: flags.ipallocInit,
    trustedSubnets: listValue(flags.trustedSubnets).map((t) => formatCidr(cidrValue('--trusted-subnets', t))),
    discovery: flags.discovery,
    connLimit: integerValue('--conn-limit', flags.connLimit, 0, 1_000_000),
    mtu: flags.mtu === undefined ? undefined : integerValue('--mtu', flags.mtu, SMALLEST_MTU, LARGEST_MTU),
    bridge: bridgeValue(flags.bridge),
    stateDir: pathValue('--state-dir', flags.stateDir),
    engine,
    workers: workersValue(flags.workers, engine),
    fullMeshLimit: integerValue('--full-mesh-limit', flags.fullMeshLimit, 2, 1_000_000),
    hostFirewall: flags.hostFirewall,
    logLevel: choiceValue('--log-level', flags.logLevel, ['debug', 'info', 'warn', 'error']),
    resume: flags.resume,
    socket: pathValue('--socket', surroundings.socket),
    passwordFile:
      surroundings.passwordFile === undefined
        ? undefined
        : pathValue('--password-file', surroundings.passwordFile),
  };
}

function cidrValue(flag: string, text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new BadValue(`${flag} "${text}" is not a CIDR: write it like 10.32.0.0/12`);
  return cidr;
}

function nameValue(text: string): string {
  const name = parsePeerName(text);
  if (name === undefined)
    throw new BadValue(`--name "${text}" is not a peer name: write six hexadecimal pairs, or ::1`);
  const isGroup = (Number.parseInt(name.slice(0, 2), 16) & 1) === 1;
  if (isGroup || /^[0:]+$/.test(name)) {
    const why = isGroup ? 'stands for a group' : 'is all zero';
    throw new BadValue(`--name "${text}" ${why}, as no MAC of one host may: begin with 02, say`);
  }
  return name;
}

function nicknameValue(text: string): string {
  if (text === '' || text.length > LONGEST_NICKNAME || /\p{Cc}/u.test(text)) {
    throw new BadValue(
      `--nickname ${JSON.stringify(text)} is not a nickname: give 1 to ${LONGEST_NICKNAME} printable characters`,
    );
  }
  return text;
}

function hostValue(text: string): string {
  if (parseIp(text) === undefined) throw new BadValue(`--host "${text}" is not an IP address of this host`);
  return text;
}

/** An address or host name with an optional port; which of them is decided when it is dialled. */
export function peerValue(text: string): string {
  if (parseTarget(text, 1) !== undefined) return text;
  throw new BadValue(`peer "${text}" is not an address: write HOST, HOST:PORT or [IPV6]:PORT`);
}

function integerValue(flag: string, text: string, least: number, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) {
    throw new BadValue(`${flag} "${text}" is not a whole number from ${least} to ${most}`);
  }
  return value;
}

/** A session has at most {@link MOST_LANES} lanes, one for each worker. */
function workersValue(text: string, engine: LaunchSettings['engine']): number {
  const workers = integerValue('--workers', text, 1, MOST_LANES);
  if (workers > 1 && engine === 'portable') {
    throw new BadValue(`--workers "${text}" needs the native engine: leave out --engine, or take one worker`);
  }
  return workers;
}

function bridgeValue(text: string): string {
  if (!/^[A-Za-z0-9_.-]+$/.test(text) || text.length > LONGEST_BRIDGE || text === '.' || text === '..') {
    throw new BadValue(
      `--bridge "${text}" is not an interface name: at most ${LONGEST_BRIDGE} letters, digits, "_", "." or "-"`,
    );
  }
  return text;
}

/** Absolute, as the daemon runs in another directory than whoever launches it. */
export function pathValue(flag: string, text: string): string {
  if (text === '' || text.includes('\0')) throw new BadValue(`${flag} "${text}" is not a path: name one`);
  return resolve(text);
}

/** As {@link pathValue}, of the API's socket. */
export function socketValue(text: string): string {
  const path = pathValue('--socket', text);
  const problem = socketPathProblem(path);
  if (problem !== undefined) throw new BadValue(problem);
  return path;
}

function choiceValue<T extends string>(flag: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new BadValue(`${flag} "${text}" is unknown: choose ${choices.join(', ')}`);
  return found;
}

function listValue(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
