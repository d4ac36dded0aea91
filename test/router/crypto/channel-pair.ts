import { concatBytes } from '../../../core/bytes.ts';
import { SeededRandom } from '../../../core/random.ts';
import type { SecureChannel, SecureChannelEffect } from '../../../gossip/secure-channel.ts';
import { createSecureChannel } from '../../../router/crypto/secure-channel.ts';
import type { SecureChannelOptions } from '../../../router/crypto/secure-channel.ts';
import { fakePrimitives } from '../../sim/fake-primitives.ts';
import { playedSodium, type PlayedPrimitives } from './played-primitives.ts';

/** Both kinds of primitives, for tests that must hold for either. */
export const allPrimitives: readonly (readonly [name: string, primitives: PlayedPrimitives])[] = [
  ['libsodium', playedSodium],
  ['the fake', fakePrimitives],
];

export type Role = 'dialler' | 'acceptor';
type Task = Extract<SecureChannelEffect, { type: 'task' }>;
/** What a channel reports, apart from bytes and tasks. */
export type Report = Exclude<SecureChannelEffect, { type: 'write' | 'task' }>;

/** What the wire does to one write: the pieces in which it arrives. */
export type Wire = (bytes: Uint8Array, from: Role) => readonly Uint8Array[];

export type EndOptions = Pick<SecureChannelOptions, 'passwords' | 'dialPassword' | 'versions'>;

const direct: Wire = (bytes) => [bytes];

/** One end with everything it said and reported. */
export class End {
  readonly role: Role;
  readonly channel: SecureChannel;
  readonly writes: Uint8Array[] = [];
  readonly reports: Report[] = [];
  readonly #primitives: PlayedPrimitives;

  constructor(role: Role, primitives: PlayedPrimitives, options: EndOptions, seed: number) {
    this.role = role;
    this.#primitives = primitives;
    this.channel = createSecureChannel({ ...options, role, primitives, random: new SeededRandom(seed) }, 0);
  }

  /** Does the tasks that the channel asked for, at once, and returns what it wants written. */
  drain(): Uint8Array[] {
    const written: Uint8Array[] = [];
    for (let effects = this.channel.drain(); effects.length > 0; effects = this.channel.drain()) {
      for (const effect of effects) {
        if (effect.type === 'write') written.push(effect.bytes);
        else if (effect.type === 'task') this.#do(effect);
        else this.reports.push(effect);
      }
    }
    this.writes.push(...written);
    return written;
  }

  get opened(): Extract<Report, { type: 'open' }> | undefined {
    return this.reports.find((report) => report.type === 'open');
  }

  get failure(): string | undefined {
    return this.reports.find((report) => report.type === 'failed')?.reason;
  }

  get messages(): Uint8Array[] {
    return this.reports.filter((report) => report.type === 'message').map((report) => report.bytes);
  }

  get written(): Uint8Array {
    return concatBytes(...this.writes);
  }

  #do(task: Task): void {
    this.channel.onTaskDone(task.task, this.#primitives.runJob(task.job), 0);
  }
}

/** Two ends and a wire between them. */
export class ChannelPair {
  readonly dialler: End;
  readonly acceptor: End;
  readonly #wire: Wire;

  constructor(
    primitives: PlayedPrimitives,
    dialler: EndOptions,
    acceptor: EndOptions,
    wire = direct,
    seed = 1,
  ) {
    this.dialler = new End('dialler', primitives, dialler, seed);
    this.acceptor = new End('acceptor', primitives, acceptor, seed + 1_000);
    this.#wire = wire;
  }

  /** Passes bytes on until both ends are silent. */
  run(): this {
    for (let busy = true; busy;) {
      busy = this.#pass(this.dialler, this.acceptor);
      busy = this.#pass(this.acceptor, this.dialler) || busy;
    }
    return this;
  }

  #pass(from: End, to: End): boolean {
    const written = from.drain();
    for (const bytes of written) {
      for (const piece of this.#wire(bytes, from.role)) to.channel.onBytes(piece, 0);
    }
    return written.length > 0;
  }
}
