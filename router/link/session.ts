import { earlier, type Millis } from '../../core/time.ts';
import type { EngineChange } from '../engine/port.ts';
import type { SessionMaterial } from '../node-messages.ts';
import { BackOff } from './back-off.ts';
import type { LinkContext } from './context.ts';
import type { LinkMessage } from '../wire/inner.ts';
import { SessionKeys, installKeys } from './session-keys.ts';
import type { PathOwner } from './path-table.ts';
import { SessionPaths } from './session-paths.ts';

/** A session in the engine, from its keys' arrival to its removal. */
export class LinkSession {
  /** The engine's number. */
  readonly number: number;
  readonly id: number;
  readonly initiator: boolean;
  readonly sealed: boolean;
  readonly remoteBridgeMtu: number;
  readonly installedAt: Millis;
  readonly paths: SessionPaths;
  readonly keys: SessionKeys | undefined;
  /** For a circuit, while there is no path. */
  readonly circuitAsks = new BackOff();
  readonly #context: LinkContext;
  readonly #localIndex: number;

  constructor(context: LinkContext, material: SessionMaterial, now: Millis) {
    this.#context = context;
    this.number = context.sessions.take();
    this.id = material.id;
    this.initiator = material.initiator;
    this.sealed = material.keys !== undefined;
    this.remoteBridgeMtu = material.remoteBridgeMtu;
    this.installedAt = now;
    this.#localIndex = material.localIndex;
    this.#install(material);
    this.paths = new SessionPaths(context, pathOwner(this.number, material), now);
    if (this.sealed) {
      this.keys = new SessionKeys(context, this.number, material, (message) => this.send(message), now);
    }
  }

  /** Sends on the current path; lost if there is none. */
  send(message: LinkMessage): void {
    const path = this.paths.current;
    if (path?.endpoint === undefined) return;
    const plain = !this.sealed;
    const [session, id] = [this.number, path.id];
    this.#context.emit({ type: 'send', session, path: id, plain, message, size: undefined });
  }

  /** Takes the session, its paths and its keys out of the engine. */
  remove(): void {
    this.paths.removeAll();
    this.#configure({ type: 'receive-index-removed', index: this.#localIndex });
    this.#configure({ type: 'session-removed', session: this.number });
    this.#context.emit({ type: 'released', of: 'sessions', number: this.number });
    const indexes = [this.#localIndex];
    this.#context.emit({ type: 'control', message: { type: 'indexes-released', indexes } });
  }

  nextTimeout(): Millis | undefined {
    return earlier(this.paths.nextTimeout(), this.keys?.nextTimeout());
  }

  onTimeout(now: Millis): void {
    this.keys?.onTimeout(now);
    this.paths.onTimeout(now);
  }

  #install({ lanes, keys, cookies, localIndex, remoteTrusted }: SessionMaterial): void {
    const session = this.number;
    this.#context.emit({
      type: 'lanes',
      lanes: { session, lanes, sealed: keys !== undefined, remoteTrusted },
    });
    this.#configure({ type: 'session', session, cookies });
    if (keys) {
      installKeys(this.#context, session, 0, keys);
      this.#configure({ type: 'send-phase', session, phase: 0 });
      this.#context.emit({ type: 'lane-phase', session, phase: 0 });
    }
    this.#configure({ type: 'receive-index', index: localIndex, session, tag: 0, roams: true });
  }

  #configure(change: EngineChange): void {
    this.#context.emit({ type: 'configure', change });
  }
}

/** What the paths need of the material; above all not the keys. */
function pathOwner(session: number, material: SessionMaterial): PathOwner {
  const { cookies, remoteIndex, candidates, remoteBridgeMtu, remoteTrusted } = material;
  const sealed = material.keys !== undefined;
  return { session, sealed, cookies, remoteIndex, candidates, remoteBridgeMtu, remoteTrusted };
}
