import { SECOND, earlier, type Millis } from '../../core/time.ts';
import type { SessionMaterial } from '../node-messages.ts';
import type { LinkContext } from './context.ts';
import { LinkSession } from './session.ts';

/** A session that never got a valid datagram. */
const PENDING_LIFETIME: Millis = 60 * SECOND;
/** A replaced session receives for so long after its replacement has a path, or, at most, after it was replaced. */
const RETIRE_AFTER_PATH: Millis = 2 * SECOND;
const RETIRE_AFTER: Millis = 10 * SECOND;

/**
 * The sessions with one peer. Nothing drops a session but its replacement: the current one serves until a valid
 * datagram arrives on the pending one, and even then it serves until that one has a path of its own.
 */
export class SessionSlots {
  readonly #context: LinkContext;
  #current: LinkSession | undefined;
  #pending: LinkSession | undefined;
  #retiring: LinkSession | undefined;
  #retireAt: Millis | undefined;
  #hadPath = false;

  constructor(context: LinkContext) {
    this.#context = context;
  }

  get current(): LinkSession | undefined {
    return this.#current;
  }

  get pending(): LinkSession | undefined {
    return this.#pending;
  }

  get newest(): LinkSession | undefined {
    return this.#pending ?? this.#current;
  }

  /** The current session has a confirmed path, or had one. */
  get hadPath(): boolean {
    return this.#hadPath;
  }

  /** Frames leave on a path that is confirmed. */
  get confirmed(): boolean {
    return this.#current?.paths.confirmed === true || this.#retiring?.paths.confirmed === true;
  }

  /** The session that frames go by: the current one, or the one before it while that alone has a path. */
  serving(): LinkSession | undefined {
    const usable = (session: LinkSession | undefined) => session?.paths.current?.endpoint !== undefined;
    if (usable(this.#current)) return this.#current;
    return usable(this.#retiring) ? this.#retiring : undefined;
  }

  /** By the engine's number. */
  find(number: number): LinkSession | undefined {
    if (this.#current?.number === number) return this.#current;
    if (this.#pending?.number === number) return this.#pending;
    return this.#retiring?.number === number ? this.#retiring : undefined;
  }

  /** The current and the pending session. */
  lasting(): LinkSession[] {
    return [this.#current, this.#pending].filter((session) => session !== undefined);
  }

  all(): LinkSession[] {
    return [this.#current, this.#pending, this.#retiring].filter((session) => session !== undefined);
  }

  /** The session becomes the pending one, in place of any other. */
  install(material: SessionMaterial, now: Millis): void {
    this.#pending?.remove();
    this.#pending = new LinkSession(this.#context, material, now);
  }

  /** The pending session becomes the current one, and the current one bows out. */
  goLive(now: Millis): void {
    this.#retiring?.remove();
    this.#retiring = this.#current;
    this.#retiring?.paths.stop();
    this.#retireAt = now + RETIRE_AFTER;
    this.#current = this.#pending;
    this.#pending = undefined;
    this.#hadPath = false;
  }

  /** To be called whenever the paths may have changed. */
  followPaths(now: Millis): void {
    if (!this.#current?.paths.confirmed || this.#hadPath) return;
    this.#hadPath = true;
    this.#retireAt = Math.min(this.#retireAt ?? Infinity, now + RETIRE_AFTER_PATH);
  }

  drop(session: LinkSession): void {
    session.remove();
    if (session === this.#retiring) this.#retiring = undefined;
    if (session === this.#pending) this.#pending = undefined;
    if (session !== this.#current) return;
    this.#current = undefined;
    this.#hadPath = false;
  }

  nextTimeout(): Millis | undefined {
    const pending = earlier(this.#pending?.nextTimeout(), this.#pendingUntil());
    const retiring = this.#retiring && this.#retireAt;
    return earlier(earlier(this.#current?.nextTimeout(), pending), retiring);
  }

  onTimeout(now: Millis): void {
    this.#current?.onTimeout(now);
    this.#pending?.onTimeout(now);
    if (this.#pending && now >= this.#pendingUntil()!) this.drop(this.#pending);
    if (this.#retiring && now >= (this.#retireAt ?? now)) this.drop(this.#retiring);
  }

  #pendingUntil(): Millis | undefined {
    return this.#pending && this.#pending.installedAt + PENDING_LIFETIME;
  }
}
