import type { PeerName } from '../../../core/peer-name.ts';
import type { StoreChange } from '../../../core/store.ts';
import type { Millis } from '../../../core/time.ts';
import type { InitMode } from '../../../ipam/init-mode.ts';
import type { IpamTopologyView } from '../../../ipam/effects.ts';
import type { Ipam } from '../../../ipam/ipam.ts';
import type { IpamSettings } from '../../../ipam/settings.ts';
import { ControlNode } from '../../../router/control-node.ts';
import { ControlHost, PORT, type ControlWorld, type OtherEffect } from '../control-host.ts';
import { FaultyIpam, type Noise } from './faulty-ipam.ts';

const GIVEN_UP = 'a peer out of reach did not acknowledge a take-over';

/**
 * Where a crash may come in the life of a transaction: it is not written; written, but the node has not heard so; the
 * node has heard, but nothing that followed left it; some of what followed did.
 */
export const CRASH_STEPS = ['before-write', 'after-write', 'before-messages', 'between-messages'] as const;
export type CrashStep = (typeof CRASH_STEPS)[number];

/** What all nodes of a run share. */
export interface IpamWorld extends ControlWorld {
  readonly settings: IpamSettings;
  noise: Noise;
  count(what: string): void;
  /** The node's durable state changed. */
  onStored(node: IpamNode, changes: readonly StoreChange[]): void;
  /** The node crashed at a step that it was armed for. */
  onCrash(node: IpamNode): void;
  onProblem(node: IpamNode, problem: string): void;
  /** The node, which gives nothing out yet after its start, sees this of the mesh. */
  onAwaited(node: IpamNode, view: IpamTopologyView): void;
  /** The node waits for an acknowledgement no longer, as `peer` is out of reach. */
  onGivenUp(node: IpamNode, peer: PeerName, victim: PeerName): void;
}

/**
 * A host without a data plane: the real ControlNode, with gossip, topology, channels, secure channels on fake
 * cryptography, and the real allocator behind a bad network. Transactions fail, or crash it at a step of theirs.
 */
export class IpamNode extends ControlHost {
  ipam: Ipam | undefined;
  /** The next transaction crashes there. */
  armed: CrashStep | undefined;
  /** Transactions fail. */
  isDiskFull = false;
  /** When the first of all transactions failed since one was made last: what is stored next may be known since then. */
  failingSince: Millis | undefined;
  readonly #world: IpamWorld;
  readonly #init: InitMode;

  constructor(world: IpamWorld, number: number, init: InitMode) {
    super(world, number);
    this.#world = world;
    this.#init = init;
  }

  /** Starts from what the store holds; `peers` are the targets of the command line. */
  start(peers: readonly IpamNode[]): void {
    const { clock, settings, primitives } = this.#world;
    const identity = this.begin();
    const config = {
      identity,
      uid: this.random.bytes(8),
      nickname: `host${this.number}`,
      version: '0.0.0',
      port: PORT,
      addresses: [this.endpoint],
      acceptsInbound: true,
      discovery: true,
      connLimit: 0,
      fullMeshLimit: 80,
      bridgeMtu: 1_388,
      workers: 1,
      passwords: [],
      trustedSubnets: [],
      dataPlane: false,
      ipam: { ...settings, init: this.#init },
    };
    const deps = {
      primitives,
      random: this.random,
      stored: new Map(this.store),
      createIpam: (...args: ConstructorParameters<typeof Ipam>) => this.#createIpam(...args),
    };
    this.boot(new ControlNode(config, deps, clock.now), peers);
  }

  /** The daemon ends at once. `silent`: so does its host, and nobody is told; else its streams are reset. */
  crash(silent: boolean): void {
    if (!this.alive) return;
    this.ipam = undefined;
    this.armed = undefined;
    this.failingSince = undefined;
    this.end(silent);
  }

  onDatagram(): void {
    // There is no data plane.
  }

  protected onOther(effect: OtherEffect): void {
    if (effect.type !== 'log') return;
    const { level, message, fields } = effect;
    if (level === 'error') this.#world.onProblem(this, message);
    const { peer, victim } = fields;
    if (message === GIVEN_UP) this.#world.onGivenUp(this, peer as PeerName, victim as PeerName);
  }

  protected override onFlush(token: number, changes: readonly StoreChange[]): void {
    this.tell((control, now) => {
      const isIpam = changes.some(({ key }) => key.startsWith('ipam/'));
      if (isIpam && this.isDiskFull) {
        this.#world.count('transaction failed');
        this.failingSince ??= now;
        control.onCommitFailed(token, 'the disk is full', now);
        return;
      }
      const step = isIpam ? this.armed : undefined;
      if (step !== 'before-write') this.write(changes);
      if (isIpam) this.failingSince = undefined;
      if (step === undefined) control.onCommitted(token, now);
      else this.#crashAt(step, control, token, now);
    });
  }

  protected override write(changes: readonly StoreChange[]): void {
    super.write(changes);
    this.#world.onStored(this, changes);
  }

  #crashAt(step: CrashStep, control: ControlNode, token: number, now: Millis): void {
    if (step === 'before-messages' || step === 'between-messages') control.onCommitted(token, now);
    if (step === 'between-messages') {
      const effects = control.drain();
      for (const effect of effects.slice(0, Math.ceil(effects.length / 2))) this.perform(effect);
      this.writeStreams();
    }
    this.#world.count(`crash ${step}`);
    this.crash(false);
    this.#world.onCrash(this);
  }

  #createIpam(...args: ConstructorParameters<typeof Ipam>): Ipam {
    const world = this.#world;
    this.ipam = new FaultyIpam(...args, {
      get noise() {
        return world.noise;
      },
      random: this.random,
      later: (delay, act) => this.tellLater(delay, (_control, now) => act(now)),
      onAwaited: (view) => world.onAwaited(this, view),
      count: (what) => world.count(what),
    });
    return this.ipam;
  }
}
