import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  formatCidr,
  formatEndpoint,
  formatIp,
  parseCidr,
  parseEndpoint,
  parseIp,
} from '../../core/address.ts';
import { utf8 } from '../../core/bytes.ts';
import { silentLog } from '../../core/log.ts';
import { parsePeerName } from '../../core/peer-name.ts';
import { formatDialAddress, parseTarget } from '../../gossip/target-address.ts';
import { BadValue } from '../../cli/exit.ts';
import { readPasswordFile } from '../../cli/passwords.ts';
import { checkSettings, peerValue } from '../../cli/settings.ts';
import { parseInitMode } from '../../ipam/init-mode.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import { decodeCallBody, encodeCallBody } from '../../plugin/cni/call-body.ts';
import { CniError } from '../../plugin/cni/cni-error.ts';
import { parseInvocation } from '../../plugin/cni/invocation.ts';
import { parseNetworkConfig } from '../../plugin/cni/network-config.ts';
import { parseAddressArgument } from '../../plugin/host/address-argument.ts';
import { HostError } from '../../plugin/host/host-error.ts';
import type { Daemon } from '../../router/api/daemon.ts';
import { createApi } from '../../router/api/server.ts';
import { standardFlags } from '../cli/standard-flags.ts';
import { OUTSIDE, promise, TAKEN, type Target, type Verdict } from './target.ts';

const decoder = new TextDecoder();

/** A parser of what an operator types: undefined or one class of errors, and nothing else. */
function text(name: string, valid: readonly string[], parse: (text: string) => unknown): Target {
  const run = (input: Uint8Array): Verdict => {
    try {
      return parse(decoder.decode(input)) === undefined ? `${OUTSIDE}refused` : TAKEN;
    } catch (error) {
      if (error instanceof BadValue || error instanceof HostError) return `${OUTSIDE}refused with a sentence`;
      throw error;
    }
  };
  return { name: `cli-${name}`, samples: valid.map(utf8), shape: 'text', weight: 10, run };
}

const addresses = ['10.32.0.1', '2001:db8::1', '::ffff:192.0.2.1', '::'];
const cidrs = ['10.32.0.0/12', '2001:db8::/64', '0.0.0.0/0', '::/128'];
const endpoints = ['192.0.2.1', '192.0.2.1:6783', '[2001:db8::1]:6783', '2001:db8::1', '[::1]'];

/** What is printed is read again as the same. */
function stable<T>(parse: (text: string) => T | undefined, format: (value: T) => string) {
  return (given: string): T | undefined => {
    const value = parse(given);
    if (value === undefined) return undefined;
    const printed = format(value);
    const again = parse(printed);
    promise(again !== undefined && format(again) === printed, `"${printed}" is not read as it was printed`);
    return value;
  };
}

const FLAGS = ['name', 'nickname', 'host', 'port', 'ipallocRange', 'ipallocDefaultSubnet', 'ipallocInit'];
const MORE_FLAGS = [
  'trustedSubnets',
  'connLimit',
  'mtu',
  'bridge',
  'stateDir',
  'engine',
  'workers',
  'logLevel',
];

/** "flag=value" */
function launch(given: string): unknown {
  const [flag = '', value = ''] = given.split(/=(.*)/s);
  const known = [...FLAGS, ...MORE_FLAGS].includes(flag) ? { [flag]: value } : {};
  const surroundings = { hostName: 'host1', socket: '/run/weave-ts/api.sock', passwordFile: undefined };
  return checkSettings({ ...standardFlags, ...known }, flag === 'peer' ? [value] : [], surroundings);
}

function passwordFile(): Target {
  const folder = mkdtempSync(join(tmpdir(), 'weave-fuzz-'));
  const path = join(folder, 'password');
  const parse = (input: Uint8Array): Verdict => {
    writeFileSync(path, input, { mode: 0o600 });
    try {
      const { accepted } = readPasswordFile(path);
      promise(accepted.length >= 1 && accepted.length <= 2, 'other than one or two passwords');
      return TAKEN;
    } catch (error) {
      if (error instanceof BadValue) return `${OUTSIDE}refused with a sentence`;
      throw error;
    }
  };
  return {
    name: 'password-file',
    samples: ['secret\n', 'one\r\ntwo\r\n', '\n\n p \n'].map(utf8),
    shape: 'text',
    weight: 2,
    run: parse,
    close: () => rmSync(folder, { recursive: true }),
  };
}

const daemon = new Proxy({} as Daemon, {
  get: (_daemon, call) => () => Promise.resolve(call === 'cni' ? { failed: false, output: '' } : []),
});

/** The path of the call, a line end, then the body. */
const calls = [
  '/stop\n{"clean":true}',
  '/connect\n{"peers":["192.0.2.1"],"replace":false}',
  '/forget\n{"peers":["host1:7000"]}',
  '/attach\n{"target":"x","addresses":["net:default"],"interface":"ethwe","defaultRoute":true}',
  '/detach\n{"target":"x","addresses":[]}',
  '/expose\n{"addresses":["10.32.0.1/12"],"masquerade":true}',
  '/hide\n{"addresses":["10.32.0.1/12"]}',
  '/allocate\n{"id":"x","subnet":"10.32.0.0/16"}',
  '/claim\n{"id":"x","cidr":"10.32.0.1/12"}',
  '/release\n{"id":"x"}',
  '/prime\n{}',
  '/rotate\n{}',
  '/rekey\n{"peer":"::1"}',
  '/rmpeer\n{"peers":["host1","::1"],"now":true,"strict":false}',
  '/reset\n{"force":true}',
  '/cni\nCNI_COMMAND=STATUS\0\0{"cniVersion":"1.1.0","name":"weave-ts"}',
  '/cni/install\n{"binDir":"/opt/cni/bin","confDir":"/etc/cni/net.d","cniVersion":"1.0.0"}',
  ...['/status\n', '/report\n', '/ps\n', '/ipam/check\n'],
];

/** The method of each path that the API has. Throws if there is no valid call of one. */
function routes(): ReadonlyMap<string, string> {
  const known = new Map(
    createApi(daemon, silentLog)
      .calls()
      .map((call) => call.split(' ').reverse() as [path: string, method: string]),
  );
  const missing = [...known.keys()].filter((path) => !calls.some((call) => call.startsWith(`${path}\n`)));
  if (missing.length > 0) throw new Error(`calls of the API that are not fuzzed: ${missing.join(', ')}`);
  return known;
}

const methods = routes();

function api(): Target {
  const app = createApi(daemon, silentLog);
  const run = async (input: Uint8Array): Promise<Verdict> => {
    const end = input.indexOf(10);
    const path = decoder.decode(input.subarray(0, Math.max(0, end))).replace(/[^/a-z0-9?%-]/g, '');
    const url = `/${path.replace(/^\/+/, '')}`;
    const body = Buffer.from(input.subarray(end + 1));
    const type = url === '/cni' ? 'application/x-weave-ts-cni' : 'application/json';
    const method = methods.get(url.split('?')[0]!) ?? 'POST';
    const { status, text: answer } = await app.answer(
      { method, url, type, body },
      new AbortController().signal,
    );
    promise(status === 200 || (status >= 400 && status < 500), `status ${status}: ${answer}`);
    promise(answer.length <= 10_000, 'an answer beyond its bound');
    promise(!('a' in {}) && !('b' in {}), 'a prototype was changed');
    if (status === 404 || answer.includes('JSON')) return `${OUTSIDE}status ${status}`;
    return status === 200 ? TAKEN : `status ${status}`;
  };
  return { name: 'api-request', samples: calls.map(utf8), shape: 'text', weight: 2, run };
}

const podEnvironment = Object.entries({
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
  CNI_ARGS: 'IgnoreUnknown=1;IP=10.32.0.9/12;K8S_POD_NAME=web',
});
const podNetwork = {
  ...{ cniVersion: '1.1.0', name: 'weave-ts', type: 'weave-ts', mtu: 1400, hairpinMode: true },
  ipam: { subnet: '10.32.4.0/24', gateway: '10.32.4.1', routes: [{ dst: '0.0.0.0/0', gw: '10.32.4.1' }] },
  runtimeConfig: { ips: ['10.32.4.9/24'] },
};

/** What a runtime hands to the plugin: the environment, then the network's configuration. */
function cniCall(): Target {
  const run = (input: Uint8Array): Verdict => {
    const body = decodeCallBody(Buffer.from(input));
    if (body === undefined) return `${OUTSIDE}no end of the environment`;
    try {
      const { command, args } = parseInvocation(body.environment);
      parseNetworkConfig(body.input, command, args);
      return TAKEN;
    } catch (error) {
      if (error instanceof CniError) return `refused with code ${error.code}`;
      throw error;
    }
  };
  const input = JSON.stringify(podNetwork);
  const samples = [new Uint8Array(encodeCallBody({ environment: new Map(podEnvironment), input }))];
  return { name: 'cni-call', samples, shape: 'text', weight: 5, run };
}

export function textTargets(): Target[] {
  return [
    text('ip', addresses, stable(parseIp, formatIp)),
    text('cidr', cidrs, stable(parseCidr, formatCidr)),
    text(
      'endpoint',
      endpoints,
      stable((given) => parseEndpoint(given, 6783), formatEndpoint),
    ),
    text('peer-name', ['::1', '7a:01:02:03:04:05', '1::2:3'], stable(parsePeerName, String)),
    text(
      'target',
      [...endpoints, 'host1', 'host1.example.org:7000'],
      stable((given) => parseTarget(given, 6783), formatDialAddress),
    ),
    text('peer', [...endpoints.slice(0, 3), 'host1', 'host1:7000'], peerValue),
    text(
      'address',
      ['10.32.0.1/12', 'ip:10.32.0.1/12', 'net:10.32.0.0/16', 'net:default'],
      parseAddressArgument,
    ),
    text('init-mode', ['', 'consensus=3', 'observer', 'seed=::1,::2'], (given) =>
      kept(parseInitMode(given, 2)),
    ),
    text('range', ['10.32.0.0/12', '2001:db8::/80'], (given) => kept(parseIpamSettings(given, undefined))),
    text(
      'launch-flag',
      ['port=7000', 'trustedSubnets=10.0.0.0/8,::/0', 'mtu=1400', 'peer=host1', 'name=::2'],
      launch,
    ),
    passwordFile(),
    cniCall(),
    api(),
  ];
}

function kept<T extends object>(value: T): T | undefined {
  return 'error' in value ? undefined : value;
}
