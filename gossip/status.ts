import { compareNames, type PeerName } from '../core/peer-name.ts';
import type { RoutesSnapshot } from '../core/routes.ts';
import { SECOND, type Millis } from '../core/time.ts';
import type { ConnectionMaker } from './connection-maker.ts';
import { formatEndpoint } from '../core/address.ts';
import type { Neighbourhood } from './neighbourhood.ts';
import { formatDialAddress } from './target-address.ts';
import type { Target } from './target.ts';
import type { TopologyEntry } from './topology-entry.ts';

export interface TargetStatus {
  readonly address: string;
  readonly state: 'waiting' | 'connecting' | 'connected' | 'failed';
}

export interface ConnectionStatus {
  /** Empty while the other end's name is not known; so is the nickname. */
  readonly peer: string;
  readonly nickname: string;
  readonly address: string;
  readonly outbound: boolean;
  readonly state: 'connecting' | 'established' | 'retrying' | 'failed';
  readonly error?: string;
  readonly retryInSeconds?: number;
}

export interface PeerStatus {
  readonly name: string;
  readonly nickname: string;
  /** Names. */
  readonly neighbours: readonly string[];
}

/** The targets that were asked for, in order of address. */
export function targetsStatus(maker: ConnectionMaker): TargetStatus[] {
  return maker
    .targets()
    .filter((target) => target.given)
    .map((target) => ({ address: target.text, state: targetState(maker, target) }));
}

/** Connections in order of number, dials under way, targets that wait to be tried again, refused attempts. */
export function connectionsStatus(
  neighbourhood: Neighbourhood,
  nicknameOf: (name: PeerName) => string,
  now: Millis,
): ConnectionStatus[] {
  const { maker, neighbours } = neighbourhood;
  const live = neighbourhood.connections.all().map((connection): ConnectionStatus => {
    const { remote, outbound, hello } = connection;
    const neighbour = hello && neighbours.get(hello.name);
    const isEstablished = neighbour?.connection === connection && neighbour.isEstablished;
    const state = isEstablished ? 'established' : 'connecting';
    const { name: peer = '', nickname = '' } = hello ?? {};
    const row = { peer, nickname, address: formatEndpoint(remote), outbound, state } as const;
    const failure = neighbour?.connection === connection ? neighbour.remake?.error : undefined;
    return failure === undefined ? row : { ...row, error: `being re-made: ${failure}` };
  });
  const dials = [...neighbourhood.dials()].map((dial): ConnectionStatus => {
    const peer = maker.targetOf(dial.conn)?.peer;
    const address = formatDialAddress(dial.address);
    return { ...identity(peer, nicknameOf), address, outbound: true, state: 'connecting' };
  });
  const retrying = maker
    .targets()
    .filter((target) => target.attempt === undefined && !isPresent(maker, target))
    .flatMap((target) => waitingStatus(target, neighbourhood, nicknameOf, now));
  const refused = neighbourhood.refused.list(now).map((attempt): ConnectionStatus => {
    const { peer, nickname, address, error } = attempt;
    return { peer, nickname, address, outbound: false, state: 'failed', error };
  });
  return [...live, ...dials, ...retrying, ...refused];
}

/** Reachable peers, this one included, ascending. */
export function peersStatus(
  routes: RoutesSnapshot,
  entry: (name: PeerName) => TopologyEntry | undefined,
): PeerStatus[] {
  const { names, adjacency, adjacencyStart } = routes;
  return names.map((name, i) => ({
    name,
    nickname: entry(name)?.nickname ?? '',
    neighbours: Array.from(
      adjacency.subarray(adjacencyStart[i], adjacencyStart[i + 1]),
      (index) => names[index]!,
    ).sort(compareNames),
  }));
}

function targetState(maker: ConnectionMaker, target: Target): TargetStatus['state'] {
  if (isPresent(maker, target)) return 'connected';
  if (target.attempt !== undefined) return 'connecting';
  return target.failures > 0 ? 'failed' : 'waiting';
}

/** Its peer has a connection to us, or is part of a sparse mesh by way of others. */
function isPresent(maker: ConnectionMaker, target: Target): boolean {
  return maker.isConnected(target) || target.served;
}

/** None if it was not tried yet, and will be when its turn comes. */
function waitingStatus(
  target: Target,
  { maker, limit }: Neighbourhood,
  nicknameOf: (name: PeerName) => string,
  now: Millis,
): ConnectionStatus[] {
  const base = { ...identity(target.peer, nicknameOf), address: target.text, outbound: true } as const;
  if (target.given && limit.isReached && !maker.isOutside(target))
    return [{ ...base, state: 'retrying', error: limit.sentence }];
  if (target.failures === 0) return [];
  const retryInSeconds = Math.max(0, Math.ceil((target.nextAttempt - now) / SECOND));
  const error = target.error === undefined ? {} : { error: target.error };
  return [{ ...base, state: 'retrying', ...error, retryInSeconds }];
}

function identity(
  peer: PeerName | undefined,
  nicknameOf: (name: PeerName) => string,
): Pick<ConnectionStatus, 'peer' | 'nickname'> {
  return { peer: peer ?? '', nickname: peer === undefined ? '' : nicknameOf(peer) };
}
