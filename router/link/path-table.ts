import { equalEndpoint, type Cidr, type Endpoint } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { Millis } from '../../core/time.ts';
import type { Cookies, EngineChange } from '../engine/port.ts';
import type { LinkContext } from './context.ts';
import { fullSize } from './path-mtu.ts';
import { LinkPath, type Circuit } from './path.ts';

/** What the paths need to know of their session. */
export interface PathOwner {
  /** The engine's number. */
  readonly session: number;
  /** False = there is no password and everything goes plain. */
  readonly sealed: boolean;
  readonly cookies: Cookies | undefined;
  readonly remoteIndex: number;
  readonly candidates: readonly Endpoint[];
  readonly remoteBridgeMtu: number;
  readonly remoteTrusted: readonly Cidr[];
}

/** The paths of one session as they stand in the engine, in the order in which they were added. */
export class PathTable {
  readonly #context: LinkContext;
  readonly #owner: PathOwner;
  readonly #full: number;
  #paths: LinkPath[] = [];

  constructor(context: LinkContext, owner: PathOwner) {
    this.#context = context;
    this.#owner = owner;
    this.#full = fullSize(context.bridgeMtu, owner.remoteBridgeMtu);
  }

  /** A snapshot: paths may be added and removed while it is gone through. */
  all(): readonly LinkPath[] {
    return this.#paths;
  }

  /** By our path id, which is also the engine's tag of a circuit's alias. */
  byId(id: number): LinkPath | undefined {
    return this.#paths.find((path) => path.id === id);
  }

  byCircuit(circuit: number): LinkPath | undefined {
    return this.#paths.find((path) => path.circuit?.circuit === circuit);
  }

  directTo(endpoint: Endpoint): LinkPath | undefined {
    return this.#paths.find((path) => path.direct && equalEndpoint(path.endpoint!, endpoint));
  }

  addDirect(endpoint: Endpoint, now: Millis): LinkPath {
    return this.#add({ endpoint }, now);
  }

  addCircuit(circuit: Circuit, now: Millis): void {
    const endpoint = this.#context.directEndpoint(circuit.firstHop);
    const { id } = this.#add({ circuit, endpoint }, now);
    const { session } = this.#owner;
    this.#configure({ type: 'receive-index', index: circuit.alias, session, tag: id, roams: false });
  }

  /** The link to a neighbour moved to another address, or has no direct path any more. */
  onFirstHopMoved(firstHop: PeerName): void {
    for (const path of this.#paths) {
      if (path.circuit?.firstHop !== firstHop) continue;
      const had = path.endpoint !== undefined;
      path.endpoint = this.#context.directEndpoint(firstHop);
      if (path.endpoint) this.#configurePath(path);
      else if (had) this.#configure({ type: 'path-removed', path: path.id });
    }
  }

  remove(path: LinkPath): void {
    this.#paths = this.#paths.filter((other) => other !== path);
    if (path.endpoint) this.#configure({ type: 'path-removed', path: path.id });
    this.#context.emit({ type: 'released', of: 'paths', number: path.id });
    if (path.circuit) this.#endCircuit(path.circuit);
  }

  #endCircuit({ circuit, alias }: Circuit): void {
    const { peer } = this.#context;
    this.#configure({ type: 'receive-index-removed', index: alias });
    this.#context.emit({ type: 'control', message: { type: 'circuit-ended', peer, circuit } });
    this.#context.emit({ type: 'control', message: { type: 'indexes-released', indexes: [alias] } });
  }

  #add(to: { endpoint: Endpoint | undefined; circuit?: Circuit }, now: Millis): LinkPath {
    const path = new LinkPath(this.#context.paths.take(), this.#full, to, now);
    this.#paths = [...this.#paths, path];
    this.#configurePath(path);
    return path;
  }

  #configurePath({ id, endpoint, circuit }: LinkPath): void {
    if (endpoint === undefined) return;
    const sendIndex = circuit?.sendIndex ?? this.#owner.remoteIndex;
    this.#configure({ type: 'path', path: id, to: endpoint, sendIndex });
  }

  #configure(change: EngineChange): void {
    this.#context.emit({ type: 'configure', change });
  }
}
