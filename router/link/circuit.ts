import type { Counters } from '../../core/counters.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { RandomSource } from '../../core/random.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import { earlier } from '../../core/time.ts';
import type { Machine, Millis } from '../../core/time.ts';
import type { ToData } from '../node-messages.ts';
import type { CircuitContext, SessionNames } from './circuit-context.ts';
import { CircuitEnds } from './circuit-ends.ts';
import { encodeCircuitMessage, parseCircuitMessage } from './circuit-message.ts';
import { CircuitRelays } from './circuit-relay.ts';
import type { Edge } from './circuit-route.ts';
import type { IndexAllocator } from './index-allocator.ts';

export type CircuitEffect =
  /** A message to a neighbour on the control plane. */
  | { readonly type: 'send'; readonly to: PeerName; readonly bytes: Uint8Array }
  | { readonly type: 'to-data'; readonly message: ToData };

export type CircuitDrop = 'circuit-malformed' | 'circuit-unknown';

export interface CircuitOptions {
  readonly self: PeerName;
  readonly indexes: IndexAllocator;
  readonly random: RandomSource;
  readonly counters: Pick<Counters<CircuitDrop>, 'add'>;
  readonly sessions: SessionNames;
}

/**
 * Relays by label switching, the control side: circuits are opened hop by hop along a path that their initiator
 * chose, and each relay on it gets one label per direction, which its data plane swaps without opening anything.
 */
export class Circuits implements Machine<CircuitEffect> {
  readonly #options: CircuitOptions;
  readonly #ends: CircuitEnds;
  readonly #relays: CircuitRelays;
  #routes: RoutesSnapshot | undefined;
  #effects: CircuitEffect[] = [];

  constructor(options: CircuitOptions) {
    this.#options = options;
    const context: CircuitContext = {
      self: options.self,
      indexes: options.indexes,
      routes: () => this.#routes,
      sessions: options.sessions,
      send: (to, message) => this.#effects.push({ type: 'send', to, bytes: encodeCircuitMessage(message) }),
      toData: (message) => this.#effects.push({ type: 'to-data', message }),
    };
    this.#ends = new CircuitEnds(context, options.random);
    this.#relays = new CircuitRelays(context);
  }

  /** How many circuits begin, end or pass here. */
  get size(): number {
    return this.#ends.size + this.#relays.size;
  }

  onRoutes(routes: RoutesSnapshot, now: Millis): void {
    this.#routes = routes;
    this.#ends.onRoutes(routes, now);
  }

  /** The session with this id has no path. */
  onNeed(peer: PeerName, session: number, avoid: readonly Edge[], now: Millis): void {
    this.#ends.onNeed(peer, session, avoid, now);
  }

  /** A message from a neighbour; malformed ones and those of unknown circuits are counted. */
  onMessage(from: PeerName, bytes: Uint8Array, now: Millis): void {
    const message = parseCircuitMessage(bytes);
    if (message === undefined) {
      this.#options.counters.add('circuit-malformed');
    } else if (message.type === 'open') {
      const atEnd = message.position === message.path.length - 1;
      if (this.#ends.has(message.id) || atEnd) this.#ends.onOpen(from, message, now);
      else this.#relays.onOpen(from, message, now);
    } else if (this.#ends.has(message.id)) {
      this.#toEnd(from, message, now);
    } else if (this.#relays.has(message.id)) {
      this.#toRelay(from, message, now);
    } else {
      this.#options.counters.add('circuit-unknown');
    }
  }

  onCircuitEnded(peer: PeerName, circuit: number, now: Millis): void {
    this.#ends.onEnded(peer, circuit, now);
  }

  onLabelIdle(index: number, now: Millis): void {
    this.#relays.onLabelIdle(index, now);
  }

  onSessionEnded(peer: PeerName, now: Millis): void {
    this.#ends.onSessionEnded(peer, now);
    this.#relays.onSessionEnded(peer, now);
  }

  nextTimeout(): Millis | undefined {
    return earlier(this.#ends.nextTimeout(), this.#relays.nextTimeout());
  }

  onTimeout(now: Millis): void {
    this.#ends.onTimeout(now);
    this.#relays.onTimeout(now);
  }

  drain(): CircuitEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #toEnd(from: PeerName, message: NotOpen, now: Millis): void {
    if (message.type === 'opened') this.#ends.onOpened(from, message.id, message.index);
    else if (message.type === 'refused') this.#ends.onRefused(from, message, now);
    else this.#ends.onClose(from, message.id, now);
  }

  #toRelay(from: PeerName, message: NotOpen, now: Millis): void {
    if (message.type === 'opened') this.#relays.onOpened(from, message.id, message.index, now);
    else if (message.type === 'refused') this.#relays.onRefused(from, message, now);
    else this.#relays.onClose(from, message.id, now);
  }
}

type NotOpen = Exclude<NonNullable<ReturnType<typeof parseCircuitMessage>>, { type: 'open' }>;
