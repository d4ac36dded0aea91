import type { Endpoint } from '../../core/address.ts';
import { secretCopy } from '../../core/bytes.ts';
import { ReplayWindow } from '../crypto/replay-window.ts';
import type { Cookies, EngineChange } from './port.ts';

type SessionChange = Extract<EngineChange, { session: number }>;

/** Keys of one phase, with what must never outlive or outnumber them: the send counter and the replay window. */
export interface PhaseKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
  sendCounter: number;
  readonly window: ReplayWindow;
  /** Rises with every phase that the session is given. */
  readonly order: number;
}

export interface EngineSession {
  readonly cookies: Cookies | undefined;
  readonly phases: Map<number, PhaseKeys>;
  sendPhase: number | undefined;
  plainCounter: number;
  phasesGiven: number;
  directAddress: Endpoint | undefined;
}

export interface ReceiveIndex {
  readonly session: number;
  readonly tag: number;
  readonly roams: boolean;
}

export interface EnginePath {
  readonly to: Endpoint;
  readonly sendIndex: number;
}

export interface RelayLabel {
  readonly from: number;
  readonly to: number;
  readonly nextIndex: number;
}

/** What an engine was configured to: sessions, keys, indexes, paths and labels. */
export class MemoryState {
  readonly sessions = new Map<number, EngineSession>();
  readonly indexes = new Map<number, ReceiveIndex>();
  readonly paths = new Map<number, EnginePath>();
  readonly labels = new Map<number, RelayLabel>();

  /** Throws on a key or session that is there already, and on a change to a session that is not: bugs of the caller. */
  apply(change: EngineChange): void {
    if ('session' in change) this.#applyToSession(change);
    else this.#applyToTables(change);
  }

  /** Forgets everything; keys are wiped. */
  clear(): void {
    for (const session of [...this.sessions.keys()]) this.#removeSession(session);
    this.indexes.clear();
    this.paths.clear();
    this.labels.clear();
  }

  #applyToSession(change: SessionChange): void {
    switch (change.type) {
      case 'session':
        return this.#addSession(change.session, change.cookies);
      case 'session-removed':
        return this.#removeSession(change.session);
      case 'key':
        return this.#addKey(change);
      case 'send-phase':
        this.#session(change.session).sendPhase = change.phase;
        return;
      case 'key-removed':
        return this.#removeKey(change.session, change.phase);
      case 'receive-index':
        this.#session(change.session);
        this.indexes.set(change.index, change);
        return;
      case 'direct-address':
        this.#session(change.session).directAddress = change.endpoint;
        return;
    }
  }

  #applyToTables(change: Exclude<EngineChange, SessionChange>): void {
    switch (change.type) {
      case 'receive-index-removed':
        this.indexes.delete(change.index);
        return;
      case 'path':
        this.paths.set(change.path, change);
        return;
      case 'path-removed':
        this.paths.delete(change.path);
        return;
      case 'label':
        this.labels.set(change.index, change);
        return;
      case 'label-removed':
        this.labels.delete(change.index);
        return;
      case 'decisions-void':
        return;
    }
  }

  #addSession(session: number, cookies: Cookies | undefined): void {
    if (this.sessions.has(session)) throw new Error(`Session ${session} is there already.`);
    this.sessions.set(session, {
      cookies,
      phases: new Map(),
      sendPhase: undefined,
      plainCounter: 0,
      phasesGiven: 0,
      directAddress: undefined,
    });
  }

  #removeSession(session: number): void {
    const phases = this.sessions.get(session)?.phases;
    for (const phase of phases?.keys() ?? []) this.#removeKey(session, phase);
    this.sessions.delete(session);
    // A number used again must not inherit the indexes of the session that had it before.
    for (const [index, entry] of this.indexes) if (entry.session === session) this.indexes.delete(index);
  }

  #addKey({ session: number, phase, send, receive }: Extract<EngineChange, { type: 'key' }>): void {
    const session = this.#session(number);
    if (session.phases.has(phase)) throw new Error(`Session ${number} has a key of phase ${phase} already.`);
    session.phases.set(phase, {
      send: secretCopy(send),
      receive: secretCopy(receive),
      sendCounter: 0,
      window: new ReplayWindow(),
      order: session.phasesGiven++,
    });
  }

  #removeKey(number: number, phase: number): void {
    const session = this.sessions.get(number);
    const keys = session?.phases.get(phase);
    keys?.send.fill(0);
    keys?.receive.fill(0);
    session?.phases.delete(phase);
  }

  #session(number: number): EngineSession {
    const session = this.sessions.get(number);
    if (session === undefined) throw new Error(`Session ${number} is not there.`);
    return session;
  }
}
