import type { Cidr, Endpoint } from '../core/address.ts';
import { toHex } from '../core/bytes.ts';
import type { RandomSource } from '../core/random.ts';
import type { Millis } from '../core/time.ts';
import { Gossip } from '../gossip/gossip.ts';
import { Ipam } from '../ipam/ipam.ts';
import type { IpamConfig, IpamDependencies } from '../ipam/ipam-config.ts';
import { DamagedState } from '../ipam/stored-state.ts';
import type { Primitives } from './crypto/primitives.ts';
import { createSecureChannel } from './crypto/secure-channel.ts';
import type { HeldPasswords } from './held-passwords.ts';
import type { Identity } from './identity.ts';
import type { LocalEnd } from './link/offer-handshake.ts';
import { Pins } from './link/pins.ts';
import { loadTargets } from './stored-targets.ts';

export const PINS_KEY = 'pins';

/** Says in a topology entry that the peer carries data, and so takes part in links. */
export const DATA_PLANE = 'data';
/** Likewise for address allocation; also the name of its channel and of its messages. */
export const IPAM = 'ipam';

export interface ControlNodeConfig {
  readonly identity: Identity;
  /** 8 random bytes, of this run. */
  readonly uid: Uint8Array;
  readonly nickname: string;
  /** Of the software. */
  readonly version: string;
  /** Of the control connection and of the data plane. */
  readonly port: number;
  /** Underlay addresses of this host, best first. */
  readonly addresses: readonly Endpoint[];
  readonly acceptsInbound: boolean;
  readonly discovery: boolean;
  /** 0 = no limit. */
  readonly connLimit: number;
  readonly fullMeshLimit: number;
  readonly bridgeMtu: number;
  /** Of the data plane: each sends on a lane of its own. */
  readonly workers: number;
  /** None, or the current and perhaps the previous one. The node takes them over, and wipes them. */
  readonly passwords: readonly Uint8Array[];
  readonly trustedSubnets: readonly Cidr[];
  /** False with `--control-only`: no links, no sessions. */
  readonly dataPlane: boolean;
  /** Undefined without address allocation. */
  readonly ipam: Omit<IpamConfig, 'name' | 'nickname' | 'generation'> | undefined;
}

export interface ControlNodeDeps {
  readonly primitives: Primitives;
  readonly random: RandomSource;
  /** The store's keys and values at the start. */
  readonly stored: ReadonlyMap<string, Uint8Array>;
  /** How the allocator is made, where it is to be another than the plain one. */
  readonly createIpam?: (config: IpamConfig, deps: IpamDependencies, now: Millis) => Ipam;
}

/** `now` is the time of the input that is being handled. */
export function makeGossip(
  config: ControlNodeConfig,
  deps: ControlNodeDeps,
  held: HeldPasswords,
  now: () => Millis,
): Gossip {
  const { identity, uid, dataPlane, ipam, ...rest } = config;
  const { primitives, random } = deps;
  return new Gossip(
    {
      ...rest,
      name: identity.name,
      uid: toHex(uid),
      incarnation: identity.incarnation,
      staticKey: identity.staticKey.public,
      generation: toHex(identity.generation),
      capabilities: [...(dataPlane ? [DATA_PLANE] : []), ...(ipam ? [IPAM] : [])],
      candidates: loadTargets(deps.stored).candidates,
    },
    {
      random,
      passwordCount: () => held.list.length,
      createChannel: (role, _remote, dialPassword) =>
        createSecureChannel({ role, passwords: held.list, dialPassword, primitives, random }, now()),
    },
    now(),
  );
}

/** Throws {@link DamagedState} if they are damaged: to begin without them would trust any key again. */
export function loadPins(stored: ReadonlyMap<string, Uint8Array>, now: Millis): Pins {
  const bytes = stored.get(PINS_KEY);
  const pins = bytes === undefined ? new Pins() : Pins.decode(bytes, now);
  if (pins === undefined) throw new DamagedState(`the stored "${PINS_KEY}" are not readable`);
  return pins;
}

/** Undefined if the node runs without. Throws {@link UnusableStore}. */
export function makeIpam(config: ControlNodeConfig, deps: ControlNodeDeps, now: Millis): Ipam | undefined {
  if (config.ipam === undefined) return undefined;
  const { identity, nickname } = config;
  const generation = toHex(identity.generation);
  const own = { ...config.ipam, name: identity.name, nickname, generation };
  return deps.createIpam?.(own, deps, now) ?? new Ipam(own, deps, now);
}

/** This node as its session handshakes present it. */
export function localEnd(
  config: ControlNodeConfig,
  { primitives, random }: ControlNodeDeps,
  candidates: () => readonly Endpoint[],
): LocalEnd {
  const { identity, uid, passwords, bridgeMtu, workers, trustedSubnets: trusted } = config;
  const { name, staticKey } = identity;
  const encrypted = passwords.length > 0;
  return { name, uid, staticKey, encrypted, bridgeMtu, workers, trusted, primitives, random, candidates };
}
