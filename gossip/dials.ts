import type { PeerName } from '../core/peer-name.ts';
import type { DialAddress } from './target-address.ts';

/** As the connection maker wants it. */
export interface Dial {
  readonly conn: number;
  readonly address: DialAddress;
  /** Whom we hope to find there. */
  readonly peer: PeerName | undefined;
  readonly passwordIndex: number;
}

export interface DialUnderWay extends Dial {
  /** The sid of the connection that it is to replace, or empty. */
  readonly replaces: Uint8Array;
  /** That connection serves, and this dial is no target's. */
  readonly remakes: boolean;
}

/** Of a dial whose next password is to be the first. */
const BEFORE_FIRST = -1;

/** Dials without an answer yet, and how the connections that we dialled came about. */
export class Dials {
  readonly #waiting = new Map<number, DialUnderWay>();
  readonly #answered = new Map<number, DialUnderWay>();

  waiting(): Iterable<Dial> {
    return this.#waiting.values();
  }

  begin(dial: DialUnderWay): void {
    this.#waiting.set(dial.conn, dial);
  }

  /** It is over, or goes on as {@link answered}. Undefined if it was not waiting. */
  take(conn: number): DialUnderWay | undefined {
    const dial = this.#waiting.get(conn);
    this.#waiting.delete(conn);
    return dial;
  }

  answered(dial: DialUnderWay): void {
    this.#answered.set(dial.conn, dial);
  }

  of(conn: number): DialUnderWay | undefined {
    return this.#answered.get(conn);
  }

  end(conn: number): void {
    this.#answered.delete(conn);
  }

  /** Positions in the list of passwords that was tried so far mean nothing in the one that is held now. */
  onPasswordsChanged(): void {
    for (const [conn, dial] of this.#waiting) this.#waiting.set(conn, { ...dial, passwordIndex: 0 });
    for (const [conn, dial] of this.#answered)
      this.#answered.set(conn, { ...dial, passwordIndex: BEFORE_FIRST });
  }
}
