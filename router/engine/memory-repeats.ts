import type { Millis } from '../../core/time.ts';
import { INNER_HEADER_BYTES } from '../wire/inner.ts';
import { frameFault } from './frame-fault.ts';
import { MemoryFlows } from './memory-flows.ts';
import type { ReceiveIndex } from './memory-state.ts';
import {
  FLAG_CHECKSUM_PARTIAL,
  PREFIX_STRIDE,
  SOURCE_RECEIVED,
  SOURCE_TAP,
  SendPlan,
  type FrameBatch,
  type MessageBatch,
  type WritePlan,
} from './port.ts';

interface SendDecision {
  readonly kind: number;
  readonly session: number;
  readonly path: number;
  /** Bytes of the longest frame. */
  readonly longest: number;
}

interface WriteDecision {
  readonly kind: number;
  readonly session: number;
  readonly tag: number;
  readonly phase: number;
}

/** What plan entries with `repeat` allow the engine to do by itself. */
export class MemoryRepeats {
  readonly #sends = new MemoryFlows<SendDecision>();
  readonly #writes = new MemoryFlows<WriteDecision>();
  /** A plan of one entry. */
  readonly #plan = new SendPlan(1, 0);

  /** Nothing is repeated that was decided before a change. */
  forgetAll(): void {
    this.#sends.forgetAll();
    this.#writes.forgetAll();
  }

  /** Keeps what entry `i` was decided to, if it is a whole frame of the TAP with its own kind and flags before it. */
  rememberSend(plan: SendPlan, i: number, frames: FrameBatch, now: Millis): void {
    const item = plan.item[i]!;
    const longest = plan.repeat[i]!;
    if (longest === 0 || plan.source[i] !== SOURCE_TAP || plan.plain[i] !== 0 || item >= frames.count) return;
    if (plan.offset[i] !== frames.offset[item] || plan.prefixLength[i] !== INNER_HEADER_BYTES) return;
    const kind = plan.prefixes[i * PREFIX_STRIDE]!;
    const decision = { kind, session: plan.session[i]!, path: plan.path[i]!, longest };
    this.#sends.remember(frames.data, frames.offset[item]!, decision, now);
  }

  /** The plan, of one entry, for a frame that goes as one before it did; its bytes are the caller's to give. */
  sendOf(frame: Uint8Array, flags: number, now: Millis): SendPlan | undefined {
    const decision = this.#sends.find(frame, 0, now);
    if (decision === undefined || frame.length > decision.longest) return undefined;
    const plan = this.#plan;
    plan.prefixes[0] = decision.kind;
    plan.prefixes[1] = flags;
    plan.prefixLength[0] = INNER_HEADER_BYTES;
    plan.session[0] = decision.session;
    plan.path[0] = decision.path;
    return plan;
  }

  /** Keeps what entry `i` was decided to, if it is a whole frame that came sealed. */
  rememberWrite(plan: WritePlan, i: number, messages: MessageBatch, now: Millis): void {
    const item = plan.item[i]!;
    if (plan.repeat[i] !== 1 || plan.source[i] !== SOURCE_RECEIVED || item >= messages.count) return;
    if (plan.offset[i] !== messages.offset[item] || messages.plain[item] !== 0) return;
    const decision = {
      kind: messages.kind[item]!,
      session: messages.session[item]!,
      tag: messages.tag[item]!,
      phase: messages.phase[item]!,
    };
    this.#writes.remember(messages.data, messages.offset[item]!, decision, now);
  }

  /**
   * The frame in a plaintext of `bytes` bytes at `at` of `data` that is to be written as one before it was, with its
   * flags; undefined if the switch must be asked.
   */
  writeOf(
    data: Uint8Array,
    at: number,
    bytes: number,
    from: ReceiveIndex,
    phase: number,
    now: Millis,
  ): { readonly frame: Uint8Array; readonly flags: number } | undefined {
    const start = at + INNER_HEADER_BYTES;
    if (frameFault(bytes - INNER_HEADER_BYTES) !== undefined) return undefined;
    const decision = this.#writes.find(data, start, now);
    if (decision === undefined || decision.kind !== data[at] || decision.phase !== phase) return undefined;
    if (decision.session !== from.session || decision.tag !== from.tag) return undefined;
    return { frame: data.slice(start, at + bytes), flags: data[at + 1]! & FLAG_CHECKSUM_PARTIAL };
  }
}
