import { PREFIX_STRIDE, SOURCE_SCRATCH, SendPlan, type Engine, type EngineChange } from '../engine/port.ts';
import { DATAGRAM_OVERHEAD } from '../wire/datagram.ts';
import { INNER_HEADER_BYTES, linkMessageBytes, writeLinkMessage, type LinkMessage } from '../wire/inner.ts';

const CAPACITY = 64;
/** Room for two datagrams of the largest size, or for many ordinary ones. */
const SCRATCH_BYTES = 160 * 1024;

export interface Outgoing {
  readonly session: number;
  readonly path: number;
  readonly plain: boolean;
  readonly message: LinkMessage;
  /** UDP payload bytes to pad to; undefined = unpadded. */
  readonly size: number | undefined;
}

/** Hands changes and link messages to the engine in the order in which they were added, in as few calls as that allows. */
export class EngineQueue {
  readonly #engine: Engine;
  readonly #plan = new SendPlan(CAPACITY, SCRATCH_BYTES);
  #changes: EngineChange[] = [];
  #used = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  change(change: EngineChange): void {
    if (this.#plan.count > 0) this.flush();
    this.#changes.push(change);
  }

  /** Returns how many bytes of UDP payload it makes. */
  send(outgoing: Outgoing): number {
    const { message, size } = outgoing;
    const padTo = size === undefined ? 0 : size - DATAGRAM_OVERHEAD;
    const at = this.#room(Math.max(linkMessageBytes(message), padTo));
    const length = writeLinkMessage(message, this.#plan.scratch, at, padTo);
    this.#add(outgoing, at, length);
    return length + DATAGRAM_OVERHEAD;
  }

  /** Gives everything to the engine. The caller's copies of keys are wiped: the engine alone holds them now. */
  flush(): void {
    const changes = this.#changes;
    if (changes.length > 0) {
      this.#changes = [];
      this.#engine.configure(changes);
      changes.forEach(wipeKeys);
    }
    if (this.#plan.count === 0) return;
    this.#engine.send(this.#plan);
    this.#plan.count = 0;
    this.#used = 0;
  }

  /** Where in the scratch the next `bytes` bytes may lie. */
  #room(bytes: number): number {
    const plan = this.#plan;
    if (plan.count === plan.capacity || this.#used + bytes > plan.scratch.length) this.flush();
    return this.#used;
  }

  #add({ session, path, plain }: Outgoing, at: number, length: number): void {
    const plan = this.#plan;
    const entry = plan.count++;
    this.#used += length;
    plan.prefixes.set(plan.scratch.subarray(at, at + INNER_HEADER_BYTES), entry * PREFIX_STRIDE);
    plan.prefixLength[entry] = INNER_HEADER_BYTES;
    plan.source[entry] = SOURCE_SCRATCH;
    plan.item[entry] = 0;
    plan.offset[entry] = at + INNER_HEADER_BYTES;
    plan.length[entry] = length - INNER_HEADER_BYTES;
    plan.session[entry] = session;
    plan.path[entry] = path;
    plan.plain[entry] = plain ? 1 : 0;
  }
}

function wipeKeys(change: EngineChange): void {
  if (change.type !== 'key') return;
  change.send.fill(0);
  change.receive.fill(0);
}
