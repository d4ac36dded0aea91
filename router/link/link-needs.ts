import type { PeerName } from '../../core/peer-name.ts';
import { SECOND, earlier, type Millis } from '../../core/time.ts';
import type { ToControl } from '../node-messages.ts';
import { BackOff } from './back-off.ts';
import type { LinkContext } from './context.ts';
import type { LinkSession } from './session.ts';
import type { SessionSlots } from './session-slots.ts';

/** A fresh session has so long to find a path before another is asked for. */
const SESSION_TRIAL: Millis = 10 * SECOND;
/** ... and its addresses so long before a circuit is. */
const DIRECT_TRIAL: Millis = 3 * SECOND;

/** Whether something is lacking that is to be asked for, and when first. */
type NotBefore = Millis | undefined;

/** What a link asks of the ControlNode while it lacks a session or a path, and how often. */
export class LinkNeeds {
  readonly #context: LinkContext;
  readonly #slots: SessionSlots;
  readonly #sessionAsks = new BackOff();
  #nextSession: Millis | undefined;
  #nextCircuit: Millis | undefined;

  constructor(context: LinkContext, slots: SessionSlots) {
    this.#context = context;
    this.#slots = slots;
  }

  nextTimeout(): Millis | undefined {
    return earlier(this.#nextSession, this.#nextCircuit);
  }

  /** Asks for what is lacking and due; to be called at every change. `wanted`: there is a use for the link. */
  update(wanted: boolean, now: Millis): void {
    this.#nextSession = this.#ask(this.#sessionAsks, this.#sessionNotBefore(wanted, now), now, () => ({
      type: 'need-session',
      peer: this.#context.peer,
    }));
    this.#nextCircuit = undefined;
    for (const session of this.#slots.lasting()) {
      this.#nextCircuit = earlier(this.#nextCircuit, this.#askCircuit(session, now));
    }
  }

  #askCircuit(session: LinkSession, now: Millis): Millis | undefined {
    // While a circuit is on trial none is asked for, but that does not fulfil the wish.
    if (!session.paths.confirmed && session.paths.hasCircuit) return undefined;
    const notBefore = this.#circuitNotBefore(session, now);
    return this.#ask(session.circuitAsks, notBefore, now, () => this.#needCircuit(session));
  }

  /** Returns when to ask again; undefined if nothing is lacking. */
  #ask(asks: BackOff, notBefore: NotBefore, now: Millis, message: () => ToControl): Millis | undefined {
    if (notBefore === undefined) asks.reset();
    if (notBefore === undefined || notBefore > now) return notBefore;
    if (asks.ask(now)) this.#context.emit({ type: 'control', message: message() });
    return asks.nextAsk();
  }

  #sessionNotBefore(wanted: boolean, now: Millis): NotBefore {
    const { newest, pending, hadPath, confirmed } = this.#slots;
    if (confirmed || !wanted) return undefined;
    const lost = hadPath && pending === undefined;
    return newest === undefined || lost ? now : newest.installedAt + SESSION_TRIAL;
  }

  /**
   * The current session is sure to be known to the peer, unless that has started again or given it up: then there is
   * the pending one, which is left to itself for as long as the current one may still find a path.
   */
  #circuitNotBefore(session: LinkSession, now: Millis): NotBefore {
    const { current, hadPath, tookOverLost } = this.#slots;
    if (current?.paths.confirmed) return undefined;
    if (session === current && (hadPath || tookOverLost)) return now;
    const since = Math.max(session.paths.searchingSince, current?.paths.searchingSince ?? 0);
    return since + DIRECT_TRIAL;
  }

  #needCircuit({ id, paths }: LinkSession): ToControl {
    const { self, peer } = this.#context;
    const lost = paths.lostRoute ?? [];
    const relays = lost.filter((name) => name !== self && name !== peer);
    const hops = relays.length === 0 ? [] : [self, ...relays, peer];
    const avoid = hops.slice(1).map((hop, i): [PeerName, PeerName] => [hops[i]!, hop]);
    return { type: 'need-circuit', peer, session: id, avoid };
  }
}
