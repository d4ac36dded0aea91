import { formatEndpoint, formatIp, parseEndpoint, type Endpoint } from '../core/address.ts';

/** Where to dial: an address in text or a host name, which the edge resolves at every attempt. */
export interface DialAddress {
  readonly host: string;
  readonly port: number;
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?$/i;

/**
 * "ADDRESS", "ADDRESS:PORT", "[IPV6]:PORT", "NAME" or "NAME:PORT". Undefined if `target` is none of them; what looks
 * like a malformed IPv4 address is not a name.
 */
export function parseTarget(target: string, defaultPort: number): DialAddress | undefined {
  const endpoint = parseEndpoint(target, defaultPort);
  if (endpoint !== undefined) return dialAddress(endpoint);
  const [, host, digits] = /^([^:[\]]+)(?::(\d{1,5}))?$/.exec(target) ?? [];
  const port = digits === undefined ? defaultPort : Number(digits);
  if (host === undefined || port < 1 || port > 65_535) return undefined;
  if (!HOST_NAME.test(host) || /^[\d.]+$/.test(host)) return undefined;
  return { host: host.toLowerCase(), port };
}

export function dialAddress(endpoint: Endpoint): DialAddress {
  return { host: formatIp(endpoint.ip), port: endpoint.port };
}

/** "192.0.2.1:6783", "[2001:db8::1]:6783" or "host1:6783": the form in status, and the identity of a target. */
export function formatDialAddress({ host, port }: DialAddress): string {
  const endpoint = parseEndpoint(host.includes(':') ? `[${host}]` : host, port);
  return endpoint === undefined ? `${host}:${port}` : formatEndpoint(endpoint);
}

const published = new WeakMap<readonly Endpoint[], readonly string[]>();

/** Each in the form of {@link formatDialAddress}: once for every list, as a large mesh is looked through at each change. */
export function formatPublished(endpoints: readonly Endpoint[]): readonly string[] {
  let texts = published.get(endpoints);
  if (texts === undefined) published.set(endpoints, (texts = endpoints.map(formatEndpoint)));
  return texts;
}
