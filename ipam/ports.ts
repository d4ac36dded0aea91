import type { LogLevel } from '../core/log.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { CommitQueue } from './commit-queue.ts';
import type { Deferred, IpamPeer } from './effects.ts';
import type { Holdings } from './holdings.ts';
import type { Message } from './messages.ts';
import type { Span } from './range.ts';

/** What the parts of the allocator share. */
export interface IpamPorts {
  readonly holdings: Holdings;
  readonly queue: CommitQueue<Deferred>;
  readonly random: RandomSource;
  /** All peers that are known, this one apart. */
  readonly peers: () => readonly IpamPeer[];
  /** What was taken over and may not be given to anybody yet: the same object as long as nothing changes. */
  readonly quarantine: () => readonly Span[];
  readonly send: (to: PeerName, message: Message) => void;
  /** Sends once all that is queued for the store is durable. */
  readonly sendDurable: (to: PeerName, message: Message) => void;
  /** The same to several, encoded once. */
  readonly sendAllDurable: (to: readonly PeerName[], message: Message) => void;
  readonly log: (level: LogLevel, message: string, fields: Readonly<Record<string, string | number>>) => void;
}
