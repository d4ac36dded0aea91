import { toHex } from '../core/bytes.ts';
import type { RandomSource } from '../core/random.ts';
import type { CommitQueue } from './commit-queue.ts';
import { MAX_NICKNAME } from './delta-codec.ts';
import { GENERATION_BYTES } from './owner-codec.ts';
import type { Deferred } from './effects.ts';
import type { MemberEntry, Owner } from './entries.ts';
import type { Span } from './range.ts';
import { sameSpans } from './range.ts';
import { boundedSpans } from './span-codec.ts';
import { metaChange } from './stored-state.ts';

const RUN_BYTES = 8;

interface MembershipConfig {
  readonly self: Owner;
  readonly nickname: string;
  /** Of the store: as text. */
  readonly range: string;
  /** The number of this start. */
  readonly life: number;
}

/** What this peer says of itself as a member of a cluster, and under which generation it does so. */
export class Membership {
  readonly #config: MembershipConfig;
  readonly #queue: CommitQueue<Deferred>;
  readonly #random: RandomSource;
  readonly #run: string;
  #self: Owner;
  #version = 0;
  #entry: MemberEntry | undefined;

  /** Queues the number of this start: it has to be durable before anything is said. */
  constructor(config: MembershipConfig, queue: CommitQueue<Deferred>, random: RandomSource) {
    this.#config = config;
    this.#self = config.self;
    this.#queue = queue;
    this.#random = random;
    this.#run = toHex(random.bytes(RUN_BYTES));
    this.#write();
  }

  get generation(): string {
    return this.#self.generation;
  }

  get life(): number {
    return this.#config.life;
  }

  /** The last that was said. */
  get entry(): MemberEntry | undefined {
    return this.#entry;
  }

  /** Says it anew if it is not what was said before; `lost` = what is handed out here and not owned. */
  say(clusterId: string, lost: readonly Span[]): MemberEntry | undefined {
    const conflicts = boundedSpans(lost);
    const before = this.#entry;
    if (before?.clusterId === clusterId && sameSpans(before.conflicts, conflicts)) return undefined;
    this.#version++;
    const { owner: name, generation } = this.#self;
    const { life } = this.#config;
    const [run, version] = [this.#run, this.#version];
    const nickname = this.#config.nickname.slice(0, MAX_NICKNAME);
    this.#entry = {
      type: 'member',
      name,
      generation,
      life,
      run,
      version,
      nickname,
      clusterId,
      conflicts,
    };
    return this.#entry;
  }

  /** Does it tell of a run of this generation that this state directory knows nothing of? */
  showsRollback({ name, generation, life, run }: MemberEntry): boolean {
    if (name !== this.#self.owner || generation !== this.#self.generation) return false;
    return life > this.life || (life === this.life && run !== this.#run);
  }

  /** Draws another generation, to go on under. */
  renew(): string {
    const generation = toHex(this.#random.bytes(GENERATION_BYTES));
    this.#self = { ...this.#self, generation };
    this.#entry = undefined;
    this.#write();
    return generation;
  }

  #write(): void {
    const { range, life } = this.#config;
    const { owner: name, generation } = this.#self;
    const change = metaChange({ range, name }, generation, life);
    this.#queue.write(change.key, () => change.value);
  }
}
