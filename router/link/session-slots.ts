import { SECOND, earlier, type Millis } from '../../core/time.ts';
import type { SessionMaterial } from '../node-messages.ts';
import type { LinkContext } from './context.ts';
import { LinkSession } from './session.ts';

/** A session that never got a valid datagram. */
const PENDING_LIFETIME: Millis = 60 * SECOND;
/**
 * A replaced session receives for so long after its replacement has a path; or else after it was replaced, which is
 * longer while it alone has a path.
 */
const RETIRE_AFTER_PATH: Millis = 2 * SECOND;
const RETIRE_AFTER: Millis = 10 * SECOND;
const RETIRE_SERVING_AFTER: Millis = 60 * SECOND;
/**
 * A session that was given up receives for so long: what was under way is not lost, and a peer that did not hear of it
 * sends a heartbeat meanwhile and is told again.
 */
const LINGER_FOR: Millis = 15 * SECOND;

/**
 * The sessions with one peer. Nothing drops a session but its replacement: the current one serves until a valid
 * datagram arrives on the pending one, and even then it serves until that one has a path of its own.
 */
export class SessionSlots {
  readonly #context: LinkContext;
  #current: LinkSession | undefined;
  #pending: LinkSession | undefined;
  #retiring: LinkSession | undefined;
  #replacedAt: Millis = 0;
  /** When the current session first had a path. */
  #pathSince: Millis | undefined;
  #tookOverLost = false;
  /** Given up as unused: it only receives. */
  #lingering: LinkSession | undefined;
  #lingersUntil: Millis = 0;

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
    return this.#pathSince !== undefined;
  }

  /** The current session took over from one that had lost its path. */
  get tookOverLost(): boolean {
    return this.#tookOverLost;
  }

  /** Frames leave on a path that is confirmed. */
  get confirmed(): boolean {
    return this.#current?.paths.confirmed === true || this.#retiring?.paths.confirmed === true;
  }

  /** The session that was given up, while it still receives. */
  get lingering(): LinkSession | undefined {
    return this.#lingering;
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
    if (this.#retiring?.number === number) return this.#retiring;
    return this.#lingering?.number === number ? this.#lingering : undefined;
  }

  /** The current and the pending session. */
  lasting(): LinkSession[] {
    return [this.#current, this.#pending].filter((session) => session !== undefined);
  }

  all(): LinkSession[] {
    const all = this.#current ? [this.#current] : [];
    if (this.#pending) all.push(this.#pending);
    if (this.#retiring) all.push(this.#retiring);
    if (this.#lingering) all.push(this.#lingering);
    return all;
  }

  /** The session becomes the pending one, in place of any other. */
  install(material: SessionMaterial, now: Millis): void {
    this.#pending?.remove();
    this.#pending = new LinkSession(this.#context, material, now);
  }

  /**
   * The pending session becomes the current one, and the current one bows out. A datagram proves but one direction: if
   * the current session has no path and the one before it has, that one stays instead.
   */
  goLive(now: Millis): void {
    this.#tookOverLost = this.#current?.paths.confirmed === false && (this.hadPath || this.#tookOverLost);
    if (this.#servesAlone) {
      this.#current?.remove();
    } else {
      this.#retiring?.remove();
      this.#retiring = this.#current;
      this.#replacedAt = now;
    }
    this.#current = this.#pending;
    this.#pending = undefined;
    this.#pathSince = undefined;
  }

  /** To be called whenever the paths may have changed. */
  followPaths(now: Millis): void {
    if (!this.#current?.paths.confirmed || this.hadPath) return;
    this.#pathSince = now;
    this.#retiring?.paths.stop();
  }

  /** Gives all sessions up; the current one goes on to receive for a while. */
  giveUp(now: Millis): void {
    for (const session of this.all()) if (session !== this.#current) this.drop(session);
    this.#current?.paths.stop();
    this.#lingering = this.#current;
    this.#lingersUntil = now + LINGER_FOR;
    this.#current = undefined;
    this.#pathSince = undefined;
    this.#tookOverLost = false;
  }

  drop(session: LinkSession): void {
    session.remove();
    if (session === this.#lingering) this.#lingering = undefined;
    if (session === this.#retiring) this.#retiring = undefined;
    if (session === this.#pending) this.#pending = undefined;
    if (session !== this.#current) return;
    this.#current = undefined;
    this.#pathSince = undefined;
    this.#tookOverLost = false;
  }

  nextTimeout(): Millis | undefined {
    const pending = earlier(this.#pending?.nextTimeout(), this.#pendingUntil());
    const retiring = earlier(this.#retiring?.paths.nextTimeout(), this.#retireAt());
    const leaving = earlier(retiring, this.#lingering && this.#lingersUntil);
    return earlier(earlier(this.#current?.nextTimeout(), pending), leaving);
  }

  onTimeout(now: Millis): void {
    this.#current?.onTimeout(now);
    this.#pending?.onTimeout(now);
    if (this.#pending && now >= this.#pendingUntil()!) this.drop(this.#pending);
    this.#retiring?.paths.onTimeout(now);
    if (this.#retiring && now >= this.#retireAt()!) this.drop(this.#retiring);
    if (this.#lingering && now >= this.#lingersUntil) this.drop(this.#lingering);
  }

  get #servesAlone(): boolean {
    return this.#retiring?.paths.confirmed === true && !this.#current?.paths.confirmed;
  }

  #retireAt(): Millis | undefined {
    if (this.#retiring === undefined) return undefined;
    if (this.#servesAlone) return this.#replacedAt + RETIRE_SERVING_AFTER;
    return Math.min(this.#replacedAt + RETIRE_AFTER, (this.#pathSince ?? Infinity) + RETIRE_AFTER_PATH);
  }

  #pendingUntil(): Millis | undefined {
    return this.#pending && this.#pending.installedAt + PENDING_LIFETIME;
  }
}
