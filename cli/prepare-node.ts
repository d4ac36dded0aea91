import { parseCidr, parseIp, type Cidr, type IpAddress } from '../core/address.ts';
import { secretUtf8 } from '../core/bytes.ts';
import { parsePeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { StoreChange, StorePort } from '../core/store.ts';
import { MAX_GIVEN } from '../gossip/connection-maker.ts';
import { formatDialAddress, parseTarget } from '../gossip/target-address.ts';
import { parseInitMode } from '../ipam/init-mode.ts';
import { damagedStore } from '../ipam/lmdb-store.ts';
import { parseIpamSettings, type IpamSettings } from '../ipam/settings.ts';
import type { ControlNodeConfig, ControlNodeDeps } from '../router/control-config.ts';
import type { Primitives } from '../router/crypto/primitives.ts';
import { IDENTITY_KEY, loadIdentity, type Identity } from '../router/identity.ts';
import { loadTargets } from '../router/stored-targets.ts';
import { BadValue } from './exit.ts';
import type { LaunchSettings } from './settings.ts';
import { VERSION } from './version.ts';

/** Everything that the node's constructor wants but what depends on the host. */
export interface PreparedNode {
  readonly identity: Identity;
  readonly ipam: IpamSettings;
  readonly config: Omit<ControlNodeConfig, 'bridgeMtu' | 'addresses'>;
  readonly deps: ControlNodeDeps;
  /** To be durable before the network starts. */
  readonly changes: readonly StoreChange[];
  readonly targets: readonly string[];
  /** How many targets of the last run there is no room for. */
  readonly leftOut: number;
  readonly listen: IpAddress | undefined;
  readonly trustedSubnets: readonly Cidr[];
}

const UID_BYTES = 8;

/** Settings and stored state, checked against each other. Throws {@link BadValue}; changes nothing. */
export function prepareNode(
  settings: LaunchSettings,
  passwords: readonly string[],
  store: StorePort,
  tools: { readonly primitives: Primitives; readonly random: RandomSource },
): PreparedNode {
  const stored = store.load();
  const name = settings.name === undefined ? undefined : parsePeerName(settings.name);
  const loaded = loadIdentity(stored, { name }, tools.primitives, tools.random);
  if ('error' in loaded) throw new BadValue(damagedStore(settings.stateDir, loaded.error));
  // The static key has a place of its own now, which is wiped at the end.
  stored.get(IDENTITY_KEY)?.fill(0);
  const ipam = good(parseIpamSettings(settings.range, settings.defaultSubnet));
  const resumed = settings.resume ? loadTargets(stored).targets : [];
  const targets = distinctTargets([...settings.peers, ...resumed], settings.port);
  const init = good(parseInitMode(settings.init ?? '', targets.length));
  const trustedSubnets = settings.trustedSubnets.map((text) => parseCidr(text)!);
  return {
    identity: loaded.identity,
    ipam,
    config: {
      identity: loaded.identity,
      uid: tools.random.bytes(UID_BYTES),
      nickname: settings.nickname,
      version: VERSION,
      port: settings.port,
      acceptsInbound: true,
      discovery: settings.discovery,
      connLimit: settings.connLimit,
      fullMeshLimit: settings.fullMeshLimit,
      workers: settings.workers,
      passwords: passwords.map(secretUtf8),
      trustedSubnets,
      dataPlane: true,
      ipam: { ...ipam, init },
    },
    deps: { ...tools, stored },
    changes: loaded.changes,
    targets: targets.slice(0, MAX_GIVEN),
    leftOut: Math.max(0, targets.length - MAX_GIVEN),
    listen: settings.host === undefined ? undefined : parseIp(settings.host),
    trustedSubnets,
  };
}

/** In the form in which they are stored; those that are none, which only a damaged store has, fall away. */
function distinctTargets(texts: readonly string[], defaultPort: number): string[] {
  const addresses = texts.map((text) => parseTarget(text, defaultPort)).filter((each) => each !== undefined);
  return [...new Set(addresses.map(formatDialAddress))];
}

function good<T extends object>(value: T | { readonly error: string }): T {
  if ('error' in value) throw new BadValue(value.error);
  return value;
}
