import {
  cidrContains,
  equalIp,
  formatCidr,
  formatIp,
  networkOf,
  parseCidr,
  parseIp,
} from '../../core/address.ts';
import type { Cidr, IpAddress } from '../../core/address.ts';
import { CNI_CODES, CniError } from './cni-error.ts';
import { parseDns, parseResult } from './cni-result.ts';
import type { CniDns, CniResult } from './cni-result.ts';
import { IDENTIFIER } from './invocation.ts';
import type { Command } from './invocation.ts';
import { JsonFields } from './json-fields.ts';
import { specVersion } from './spec-version.ts';
import type { SpecVersion } from './spec-version.ts';

/** What the runtime wrote to standard input, checked. */
export interface NetworkConfig {
  readonly cniVersion: SpecVersion;
  readonly name: string;
  /** Bytes; undefined = the bridge's. */
  readonly mtu: number | undefined;
  readonly hairpin: boolean;
  /** Undefined = the default subnet. */
  readonly subnet: Cidr | undefined;
  /** Undefined = the host's own address on the bridge. */
  readonly gateway: IpAddress | undefined;
  /** Undefined = a default route through the gateway. */
  readonly routes: readonly RouteWish[] | undefined;
  /** Addresses asked for by the runtime; without a prefix that of the subnet. */
  readonly requested: readonly RequestedAddress[];
  readonly dns: CniDns;
  readonly prevResult: CniResult | undefined;
  /** Undefined = the runtime does not say what is still in use. */
  readonly validAttachments: readonly AttachmentName[] | undefined;
}

export interface RouteWish {
  readonly destination: Cidr;
  /** Undefined = the pod's gateway. */
  readonly via: IpAddress | undefined;
}

export interface RequestedAddress {
  readonly ip: IpAddress;
  readonly prefix: number | undefined;
}

export interface AttachmentName {
  readonly containerId: string;
  readonly ifname: string;
}

/** IPv6 needs 1280 bytes of every link (RFC 8200), IPv4 works with less. */
const SMALLEST_MTU = 576;
const LARGEST_MTU = 65_535;

/** What is nobody's business but that of ADD and CHECK. */
const UNREAD = {
  mtu: undefined,
  hairpin: false,
  subnet: undefined,
  gateway: undefined,
  routes: undefined,
  requested: [],
  dns: {},
  prevResult: undefined,
  validAttachments: undefined,
};

/**
 * `args` is CNI_ARGS. Throws {@link CniError} 1, 2, 6 or 7; unknown fields are passed over, as runtimes add their own.
 * Of commands that take nothing but the network's name, the rest is not read: what has become bad since ADD must not
 * keep a pod from being deleted.
 */
export function parseNetworkConfig(
  input: string,
  command: Command,
  args: ReadonlyMap<string, string>,
): NetworkConfig {
  const fields = new JsonFields(decode(input), '');
  const cniVersion = specVersion(fields.text('cniVersion'));
  const name = networkName(fields.text('name'));
  switch (command) {
    case 'DEL':
    case 'STATUS':
    case 'VERSION':
      return { ...UNREAD, cniVersion, name };
    case 'GC':
      return { ...UNREAD, cniVersion, name, validAttachments: parseAttachments(fields) };
    case 'ADD':
    case 'CHECK':
      return { ...parsePodConfig(fields, args), cniVersion, name };
  }
}

function parsePodConfig(
  fields: JsonFields,
  args: ReadonlyMap<string, string>,
): Omit<NetworkConfig, 'cniVersion' | 'name'> {
  const ipam = fields.object('ipam');
  const type = ipam?.text('type');
  if (type !== undefined && type !== '' && type !== 'weave-ts-ipam') {
    throw new CniError(
      CNI_CODES.unsupportedField,
      `ipam.type is "${type}": addresses on the mesh come from "weave-ts-ipam", or leave it out`,
    );
  }
  const subnet = optional(ipam?.text('subnet'), parseSubnet);
  return {
    mtu: parseMtu(fields.count('mtu')),
    hairpin: fields.boolean('hairpinMode') ?? false,
    subnet,
    gateway: optional(ipam?.text('gateway'), (text) => parseGateway(text, subnet)),
    routes: ipam?.objects('routes')?.map(parseRoute),
    requested: requestedAddresses(fields, args, subnet),
    dns: parseDns(fields.object('dns')),
    prevResult: fields.has('prevResult') ? parseResult(fields.object('prevResult')!) : undefined,
    validAttachments: undefined,
  };
}

/** An entry that names nothing would give up a pod that lives. */
function parseAttachments(fields: JsonFields): AttachmentName[] | undefined {
  const key = 'cni.dev/valid-attachments';
  return fields.objects(key)?.map((one, i) => {
    const [containerId, ifname] = [one.text('containerID') ?? '', one.text('ifname') ?? ''];
    if (containerId === '') throw bad(`${key}[${i}].containerID`, containerId, 'that of a container');
    if (ifname === '') throw bad(`${key}[${i}].ifname`, ifname, 'the name of an interface');
    return { containerId, ifname };
  });
}

function decode(input: string): unknown {
  try {
    return JSON.parse(input);
  } catch (error) {
    throw new CniError(
      CNI_CODES.undecodable,
      'the configuration on standard input is not JSON',
      (error as Error).message,
    );
  }
}

function networkName(name: string | undefined): string {
  if (name !== undefined && IDENTIFIER.test(name) && name.length <= LONGEST_NAME) return name;
  throw new CniError(
    CNI_CODES.badConfiguration,
    name === undefined || name === ''
      ? 'the configuration has no name'
      : `name "${name}" is not at most ${LONGEST_NAME} letters, digits, "_", "." and "-"`,
  );
}

/** With a container id of 128 characters it still makes an identity that the allocator takes. */
const LONGEST_NAME = 100;

function parseMtu(mtu: number | undefined): number | undefined {
  if (mtu === undefined || mtu === 0) return undefined;
  if (mtu >= SMALLEST_MTU && mtu <= LARGEST_MTU) return mtu;
  throw bad('mtu', String(mtu), `a number from ${SMALLEST_MTU} to ${LARGEST_MTU}`);
}

function parseSubnet(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw bad('ipam.subnet', text, 'a subnet like 10.32.4.0/24');
  const network = networkOf(cidr);
  if (equalIp(network, cidr.ip)) return cidr;
  throw bad('ipam.subnet', text, `without host bits: ${formatCidr({ ip: network, prefix: cidr.prefix })}`);
}

function parseGateway(text: string, subnet: Cidr | undefined): IpAddress {
  const ip = parseIp(text);
  if (ip === undefined) throw bad('ipam.gateway', text, 'an IP address');
  if (subnet !== undefined && !cidrContains(subnet, ip)) {
    throw bad('ipam.gateway', text, `an address of ipam.subnet ${formatCidr(subnet)}`);
  }
  return ip;
}

function parseRoute(fields: JsonFields, position: number): RouteWish {
  const place = `ipam.routes[${position}]`;
  const text = fields.text('dst') ?? '';
  const cidr = parseCidr(text);
  if (cidr === undefined) throw bad(`${place}.dst`, text, 'a network like 0.0.0.0/0');
  const via = optional(fields.text('gw'), (gw) => {
    const ip = parseIp(gw);
    if (ip === undefined || ip.family !== cidr.ip.family)
      throw bad(`${place}.gw`, gw, 'an address of the same family');
    return ip;
  });
  return { destination: { ip: networkOf(cidr), prefix: cidr.prefix }, via };
}

/** In the order of the conventions: the `ips` capability, then `args.cni.ips`, then IP in CNI_ARGS; the first that is there. */
function requestedAddresses(
  fields: JsonFields,
  args: ReadonlyMap<string, string>,
  subnet: Cidr | undefined,
): RequestedAddress[] {
  const sources: [string, readonly string[] | undefined][] = [
    ['runtimeConfig.ips', fields.object('runtimeConfig')?.texts('ips')],
    ['args.cni.ips', fields.object('args')?.object('cni')?.texts('ips')],
    ['IP in CNI_ARGS', args.get('IP')?.split(',')],
  ];
  const [place, texts] = sources.find(([, list]) => list !== undefined && list.length > 0) ?? ['', []];
  return texts!.filter((text) => text !== '').map((text) => parseRequested(place, text.trim(), subnet));
}

function parseRequested(place: string, text: string, subnet: Cidr | undefined): RequestedAddress {
  const cidr = parseCidr(text);
  const ip = cidr?.ip ?? parseIp(text);
  if (ip === undefined) throw bad(place, text, 'an address like 10.32.4.7 or 10.32.4.7/24');
  if (subnet !== undefined && !cidrContains(subnet, ip)) {
    throw bad(place, formatIp(ip), `an address of ipam.subnet ${formatCidr(subnet)}`);
  }
  return { ip, prefix: cidr?.prefix ?? subnet?.prefix };
}

function optional<T>(text: string | undefined, parse: (text: string) => T): T | undefined {
  return text === undefined || text === '' ? undefined : parse(text);
}

function bad(place: string, value: string, wanted: string): CniError {
  return new CniError(CNI_CODES.badConfiguration, `${place} "${value}" must be ${wanted}`);
}
