import { CNI_CODES, CniError } from './cni-error.ts';
import type { JsonFields } from './json-fields.ts';
import { isAtLeast } from './spec-version.ts';
import type { SpecVersion } from './spec-version.ts';

/** The result of ADD in the form of specification 1.1.0; {@link encodeResult} gives it that of another version. */
export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
  readonly dns: CniDns;
}

export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  /** Bytes. */
  readonly mtu?: number;
  /** The namespace's path; absent for interfaces of the host. */
  readonly sandbox?: string;
  readonly socketPath?: string;
  readonly pciID?: string;
}

export interface CniIp {
  /** CIDR. */
  readonly address: string;
  readonly gateway?: string;
  /** Position in `interfaces`; absent in results of IPAM plugins. */
  readonly interface?: number;
}

export interface CniRoute {
  readonly dst: string;
  readonly gw?: string;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

export interface CniDns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

export const EMPTY_RESULT: CniResult = { interfaces: [], ips: [], routes: [], dns: {} };

/** The interface as a row of its own after those of `before`, whose addresses keep pointing to the same ones. */
export function appendResult(before: CniResult, own: CniResult): CniResult {
  const shift = before.interfaces.length;
  const shifted = own.ips.map((ip) =>
    ip.interface === undefined ? ip : { ...ip, interface: ip.interface + shift },
  );
  return {
    interfaces: [...before.interfaces, ...own.interfaces],
    ips: [...before.ips, ...shifted],
    routes: [...before.routes, ...own.routes],
    dns: Object.keys(own.dns).length > 0 ? own.dns : before.dns,
  };
}

/** As JSON of that version: before 1.1.0 without MTUs and route attributes, before 1.0.0 with the family of each address. */
export function encodeResult(result: CniResult, version: SpecVersion): Record<string, unknown> {
  const isNew = isAtLeast(version, '1.1.0');
  const interfaces = result.interfaces.map((one) => (isNew ? one : { ...one, ...REMOVED_FROM_INTERFACES }));
  return {
    cniVersion: version,
    ...(interfaces.length === 0 ? {} : { interfaces }),
    ips: result.ips.map((ip) =>
      isAtLeast(version, '1.0.0') ? ip : { version: familyOf(ip.address), ...ip },
    ),
    routes: result.routes.map(({ dst, gw, ...rest }) => ({
      dst,
      ...(gw === undefined ? {} : { gw }),
      ...(isNew ? rest : {}),
    })),
    dns: result.dns,
  };
}

const REMOVED_FROM_INTERFACES = { mtu: undefined, socketPath: undefined, pciID: undefined };

function familyOf(address: string): '4' | '6' {
  return address.includes(':') ? '6' : '4';
}

/** A prevResult of any version that we speak. Throws {@link CniError} 7. */
export function parseResult(fields: JsonFields): CniResult {
  const interfaces = (fields.objects('interfaces') ?? []).map(parseInterface);
  const ips = (fields.objects('ips') ?? []).map(parseIp);
  const bad = ips.find((ip) => ip.interface !== undefined && ip.interface >= interfaces.length);
  if (bad !== undefined) {
    throw new CniError(
      CNI_CODES.badConfiguration,
      `prevResult.ips has ${bad.address} on interface ${bad.interface}, of which there are ${interfaces.length}`,
    );
  }
  return {
    interfaces,
    ips,
    routes: (fields.objects('routes') ?? []).map((route) => ({
      dst: route.text('dst') ?? '',
      ...defined({ gw: route.text('gw') }),
      ...defined({ mtu: route.count('mtu'), advmss: route.count('advmss') }),
      ...defined({
        priority: route.count('priority'),
        table: route.count('table'),
        scope: route.count('scope'),
      }),
    })),
    dns: parseDns(fields.object('dns')),
  };
}

export function parseDns(fields: JsonFields | undefined): CniDns {
  if (fields === undefined) return {};
  return {
    ...defined({ nameservers: fields.texts('nameservers'), domain: fields.text('domain') }),
    ...defined({ search: fields.texts('search'), options: fields.texts('options') }),
  };
}

function parseInterface(fields: JsonFields): CniInterface {
  return {
    name: fields.text('name') ?? '',
    ...defined({ mac: fields.text('mac'), mtu: fields.count('mtu'), sandbox: fields.text('sandbox') }),
    ...defined({ socketPath: fields.text('socketPath'), pciID: fields.text('pciID') }),
  };
}

function parseIp(fields: JsonFields): CniIp {
  return {
    address: fields.text('address') ?? '',
    ...defined({ gateway: fields.text('gateway'), interface: fields.count('interface') }),
  };
}

/** Without the keys whose value is undefined, which JSON would not show either. */
function defined<Row extends Record<string, unknown>>(
  row: Row,
): { [Key in keyof Row]?: Exclude<Row[Key], undefined> } {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined)) as {
    [Key in keyof Row]?: Exclude<Row[Key], undefined>;
  };
}
