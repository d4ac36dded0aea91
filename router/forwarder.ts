import type { Millis } from '../core/time.ts';
import { SOURCE_TAP, type Engine, type FrameBatch, type MessageBatch, type SendPlan } from './engine/port.ts';
import { Plans } from './switch/plans.ts';
import type { Switch } from './switch/switch.ts';
import { DATAGRAM_OVERHEAD } from './wire/datagram.ts';

/** Batches per call: enough to amortise a turn of the event loop, few enough to let timers be on time. */
const BATCHES_PER_CALL = 8;

/** What a worker does about packets besides moving them. */
export interface ForwarderOwner {
  /** Messages came; called before the switch plans, so that frames go by what the messages mean to the links. */
  onReceived(batch: MessageBatch, now: Millis): void;
  /**
   * So much went out over a session by a plan: datagrams, and bytes of UDP payload. For a super-frame they are estimates, as
   * if its segments shared their headers.
   */
  onSent(session: number, datagrams: number, bytes: number): void;
}

/** Moves a worker's packets: batches of its engine, by the plans of its switch. */
export class Forwarder {
  readonly plans: Plans;
  readonly #engine: Engine;
  readonly #switch: Switch;
  readonly #owner: ForwarderOwner;
  /** Those that are being moved. */
  #frames: FrameBatch | undefined;

  constructor(engine: Engine, frameSwitch: Switch, owner: ForwarderOwner) {
    this.#engine = engine;
    this.#switch = frameSwitch;
    this.#owner = owner;
    this.plans = new Plans({
      send: (plan) => this.#send(plan),
      writeFrames: (plan) => engine.writeFrames(plan),
    });
  }

  /** Moves what the engine has, up to a budget; true if that was used up and there may be more. */
  moveReady(now: Millis): boolean {
    let budget = BATCHES_PER_CALL;
    while (budget > 0 && this.#moveBatches(now)) budget--;
    return budget === 0;
  }

  moveFrames(frames: FrameBatch, now: Millis): void {
    this.#frames = frames;
    this.#switch.planFrames(frames, this.plans, now);
    this.plans.flush();
  }

  /** A frame batch and a message batch; false if there was neither. */
  #moveBatches(now: Millis): boolean {
    const frames = this.#engine.readFrames();
    if (frames.count > 0) this.moveFrames(frames, now);
    const messages = this.#engine.receive();
    if (messages.count > 0) this.#moveMessages(messages, now);
    return frames.count > 0 || messages.count > 0;
  }

  #moveMessages(messages: MessageBatch, now: Millis): void {
    this.#owner.onReceived(messages, now);
    this.#switch.planMessages(messages, this.plans, now);
    this.plans.flush();
  }

  #send(plan: SendPlan): void {
    this.#engine.send(plan);
    for (let i = 0; i < plan.count; i++) {
      const datagrams = this.#datagramsOf(plan, i);
      const bytes = plan.length[i]! + datagrams * (plan.prefixLength[i]! + DATAGRAM_OVERHEAD);
      this.#owner.onSent(plan.session[i]!, datagrams, bytes);
    }
  }

  /** Into how many the engine cuts an entry: only a super-frame is cut. */
  #datagramsOf(plan: SendPlan, i: number): number {
    if (plan.source[i] !== SOURCE_TAP) return 1;
    const segment = this.#frames?.segment[plan.item[i]!] ?? 0;
    return segment > 0 ? Math.ceil(plan.length[i]! / segment) : 1;
  }
}
