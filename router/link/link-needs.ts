import type { PeerName } from '../../core/peer-name.ts';
import { SECOND, earlier, type Millis } from '../../core/time.ts';
import type { ToControl } from '../node-messages.ts';
import { BackOff } from './back-off.ts';
import type { LinkContext } from './context.ts';
import type { SessionSlots } from './session-slots.ts';

/** A fresh session has so long to find a path before another is asked for. */
const SESSION_TRIAL: Millis = 10 * SECOND;
/** ... and its addresses so long before a circuit is. */
const DIRECT_TRIAL: Millis = 3 * SECOND;

/** What a link asks of the ControlNode while it lacks a session or a path, and how often. */
export class LinkNeeds {
  readonly #context: LinkContext;
  readonly #slots: SessionSlots;
  readonly #sessionAsks = new BackOff();
  readonly #circuitAsks = new BackOff();
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
    // While a circuit is on trial none is asked for, but that does not fulfil the wish.
    if (this.#slots.newest?.paths.confirmed === false && this.#slots.newest.paths.hasCircuit) {
      this.#nextCircuit = undefined;
      return;
    }
    this.#nextCircuit = this.#ask(this.#circuitAsks, this.#circuitNotBefore(now), now, () =>
      this.#needCircuit(),
    );
  }

  /** Returns when to ask again; undefined if nothing is lacking. */
  #ask(
    asks: BackOff,
    notBefore: Millis | undefined,
    now: Millis,
    message: () => ToControl,
  ): Millis | undefined {
    if (notBefore === undefined) asks.reset();
    if (notBefore === undefined || notBefore > now) return notBefore;
    if (asks.ask(now)) this.#context.emit({ type: 'control', message: message() });
    return asks.nextAsk();
  }

  #sessionNotBefore(wanted: boolean, now: Millis): Millis | undefined {
    const { newest, pending, hadPath, confirmed } = this.#slots;
    if (confirmed || !wanted) return undefined;
    const lost = hadPath && pending === undefined;
    return newest === undefined || lost ? now : newest.installedAt + SESSION_TRIAL;
  }

  #circuitNotBefore(now: Millis): Millis | undefined {
    const { newest, current, hadPath } = this.#slots;
    if (newest === undefined || newest.paths.confirmed) return undefined;
    const lost = newest === current && hadPath;
    return lost ? now : newest.installedAt + DIRECT_TRIAL;
  }

  #needCircuit(): ToControl {
    const { self, peer } = this.#context;
    const lost = this.#slots.newest?.paths.lostRoute ?? [];
    const relays = lost.filter((name) => name !== self && name !== peer);
    const hops = relays.length === 0 ? [] : [self, ...relays, peer];
    const avoid = hops.slice(1).map((hop, i): [PeerName, PeerName] => [hops[i]!, hop]);
    return { type: 'need-circuit', peer, avoid };
  }
}
