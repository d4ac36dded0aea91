import ipaddr from 'ipaddr.js';

export type Family = 4 | 6;

/** An IPv4 or IPv6 address. `value` is unsigned, below 2^32 or 2^128. Compare with {@link equalIp}. */
export interface IpAddress {
  readonly family: Family;
  readonly value: bigint;
}

/** A network, or an address within one: 10.32.0.7/12 keeps its host bits. */
export interface Cidr {
  readonly ip: IpAddress;
  readonly prefix: number;
}

/** A transport address of the underlay. Port in 1..65535. */
export interface Endpoint {
  readonly ip: IpAddress;
  readonly port: number;
}

export function addressBits(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** Strict dotted quad or RFC 4291 text; an IPv4-mapped IPv6 address becomes IPv4. Undefined if malformed. */
export function parseIp(text: string): IpAddress | undefined {
  // One of the two only: the wrong one throws inside, which a flood of connections or datagrams would make us pay for.
  if (!text.includes(':')) return parseDottedQuad(text);
  if (!ipaddr.IPv6.isValid(text) || text.includes('%')) return undefined;
  const parsed = ipaddr.process(text);
  return ipFromBytes(Uint8Array.from(parsed.toByteArray()));
}

/** Four decimal numbers below 256, without leading zeros. */
function parseDottedQuad(text: string): IpAddress | undefined {
  const match = DOTTED_QUAD.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (let i = 1; i <= 4; i++) {
    const part = Number(match[i]);
    if (part > 255) return undefined;
    value = value * 256 + part;
  }
  return { family: 4, value: BigInt(value) };
}

const DOTTED_QUAD = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

export function formatIp(ip: IpAddress): string {
  if (ip.family === 4) {
    const v = Number(ip.value);
    return `${v >>> 24}.${(v >>> 16) & 255}.${(v >>> 8) & 255}.${v & 255}`;
  }
  return new ipaddr.IPv6([...ipToBytes(ip)]).toRFC5952String();
}

/** "ADDR/N", N decimal and within the family's bits. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const ip = match ? parseIp(match[1]!) : undefined;
  const prefix = Number(match?.[2]);
  if (ip === undefined || prefix > addressBits(ip.family)) return undefined;
  return { ip, prefix };
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr.ip)}/${cidr.prefix}`;
}

/** The first address of the network that `cidr` lies in. */
export function networkOf(cidr: Cidr): IpAddress {
  const hostBits = BigInt(addressBits(cidr.ip.family) - cidr.prefix);
  return { family: cidr.ip.family, value: (cidr.ip.value >> hostBits) << hostBits };
}

/** The last address of the network that `cidr` lies in. */
export function lastOf(cidr: Cidr): IpAddress {
  const hostBits = BigInt(addressBits(cidr.ip.family) - cidr.prefix);
  return { family: cidr.ip.family, value: networkOf(cidr).value + (1n << hostBits) - 1n };
}

export function cidrContains(cidr: Cidr, ip: IpAddress): boolean {
  if (cidr.ip.family !== ip.family) return false;
  return networkOf({ ip, prefix: cidr.prefix }).value === networkOf(cidr).value;
}

export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return a.prefix <= b.prefix ? cidrContains(a, b.ip) : cidrContains(b, a.ip);
}

export function equalIp(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && a.value === b.value;
}

/** IPv4 before IPv6, then by value. */
export function compareIp(a: IpAddress, b: IpAddress): number {
  if (a.family !== b.family) return a.family - b.family;
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
}

/** Four or sixteen bytes, most significant first. */
export function ipToBytes(ip: IpAddress): Uint8Array {
  const out = new Uint8Array(addressBits(ip.family) / 8);
  if (ip.family === 4) {
    const value = Number(ip.value);
    for (let i = 0; i < 4; i++) out[i] = value >>> (24 - 8 * i);
    return out;
  }
  let rest = ip.value;
  for (let i = out.length - 1; i >= 0; i--) {
    out[i] = Number(rest & 255n);
    rest >>= 8n;
  }
  return out;
}

/** The inverse of {@link ipToBytes}; undefined unless there are four or sixteen bytes. IPv4-mapped becomes IPv4. */
export function ipFromBytes(bytes: Uint8Array): IpAddress | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  if (bytes.length === 4) {
    const value = (bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!;
    return { family: 4, value: BigInt(value >>> 0) };
  }
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  if (value >> 32n === 0xffffn) return { family: 4, value: value & 0xffffffffn };
  return { family: 6, value };
}

/** "192.0.2.1:6783" or "[2001:db8::1]:6783". */
export function formatEndpoint(endpoint: Endpoint): string {
  const ip = formatIp(endpoint.ip);
  return endpoint.ip.family === 4 ? `${ip}:${endpoint.port}` : `[${ip}]:${endpoint.port}`;
}

/**
 * An address with or without port: "A", "A:P", "[6]:P", "[6]" or a bare IPv6 address.
 * Undefined if it is anything else, a host name included.
 */
export function parseEndpoint(text: string, defaultPort: number): Endpoint | undefined {
  const bare = parseIp(text);
  if (bare !== undefined) return { ip: bare, port: defaultPort };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const ip = parseIp(match[1] ?? match[2] ?? '');
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (ip === undefined || port < 1 || port > 65_535) return undefined;
  return { ip, port };
}

export function equalEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && equalIp(a.ip, b.ip);
}
