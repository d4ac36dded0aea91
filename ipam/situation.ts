import type { Millis } from '../core/time.ts';
import type { CatchUp } from './catch-up.ts';
import type { Cluster } from './cluster.ts';
import type { Conflicts } from './conflicts.ts';
import type { IpamConfig } from './ipam-config.ts';
import type { NamedPeer } from './peer-directory.ts';
import { PeerDirectory } from './peer-directory.ts';
import type { IpamPorts } from './ports.ts';
import { commonSpans, spanSize } from './range.ts';
import type { Requests } from './requests.ts';
import type { SharedState } from './shared-state.ts';
import type { IpamStatus } from './status.ts';
import { ipamStatus } from './status.ts';
import type { NodeFacts } from './survey.ts';
import { ownFacts } from './survey.ts';
import type { TakeOvers } from './take-overs.ts';

interface SituationParts {
  readonly ports: IpamPorts;
  readonly config: IpamConfig;
  readonly shared: SharedState;
  readonly takeOvers: TakeOvers;
  readonly conflicts: Conflicts;
  readonly requests: Requests;
  readonly cluster: Cluster;
  readonly catchUp: CatchUp;
  /** Peers that were removed here. */
  readonly removed: () => readonly NamedPeer[];
  /** Is everything handed on to another peer? */
  readonly isLeaving: () => boolean;
  /** That others have spoken of, as text. */
  readonly otherRanges: () => readonly string[];
}

/** How things stand with the allocator, in words and figures, for whoever asks: people, programs and other peers. */
export class Situation {
  readonly #parts: SituationParts;

  constructor(parts: SituationParts) {
    this.#parts = parts;
  }

  /** Times in it are counted from `now`. */
  status(now: Millis): IpamStatus {
    const { ports, config, conflicts, takeOvers } = this.#parts;
    return ipamStatus({
      status: this.#state(),
      detail: this.detail,
      defaultSubnet: config.defaultSubnet,
      holdings: ports.holdings,
      directory: this.directory,
      peers: ports.peers(),
      users: conflicts.users,
      takeOvers: takeOvers.status(now),
    });
  }

  /** What is waited for, or what is amiss; undefined if nothing is. */
  get detail(): string | undefined {
    const { ports, cluster, catchUp, takeOvers, requests, isLeaving } = this.#parts;
    if (cluster.electing) return this.#electionDetail;
    if (catchUp.gated) return 'awaiting the rings of the neighbours after the start';
    if (isLeaving()) return 'handing all addresses of this host on to another peer';
    const resting = takeOvers.holdAll ? 'all addresses of this host are in quarantine' : undefined;
    return requests.awaiting(ports.peers()) ?? cluster.detail ?? resting;
  }

  /** Peers of another range take no part in it, and nobody would know why it does not end. */
  get #electionDetail(): string | undefined {
    const { cluster, otherRanges, ports } = this.#parts;
    const others = otherRanges();
    if (others.length === 0 || cluster.detail === undefined) return cluster.detail;
    const own = ports.holdings.range.text;
    return `${cluster.detail}; peers use another address range: ${others.join(', ')}, not ${own}`;
  }

  /** What this peer holds. */
  get facts(): NodeFacts {
    const { ports, config, shared, takeOvers } = this.#parts;
    const inQuarantine = spanSize(commonSpans(ports.holdings.ownSpans, takeOvers.spans));
    return ownFacts(ports.holdings, shared, config.nickname, inQuarantine);
  }

  /** All peers that are known from anywhere, by name and nickname. */
  get directory(): PeerDirectory {
    const { ports, config, shared, removed } = this.#parts;
    const { name, nickname } = config;
    const self = { name, nickname, generation: '', reachable: true, capabilities: [] };
    const owners = ports.holdings.ring.map(({ owner }) => owner);
    return new PeerDirectory([...ports.peers(), self], shared.members(), owners, removed());
  }

  #state(): IpamStatus['status'] {
    const { ports, requests, takeOvers, catchUp, isLeaving } = this.#parts;
    if (ports.holdings.clusterId === undefined) return requests.waiting ? 'awaiting-consensus' : 'idle';
    if (requests.searching) return 'waiting-for-grant';
    if (requests.exhausted) return 'exhausted';
    const isReady = !catchUp.gated && !isLeaving() && !takeOvers.holdAll;
    return isReady ? 'ready' : 'waiting-for-grant';
  }
}
