import type { PeerName } from '../../../core/peer-name.ts';
import {
  PREFIX_STRIDE,
  SOURCE_RECEIVED,
  SOURCE_TAP,
  type FrameBatch,
  type MessageBatch,
  type SendPlan,
  type WritePlan,
} from '../../../router/engine/port.ts';
import type { LinkRoute } from '../../../router/switch/link-view.ts';
import { Plans } from '../../../router/switch/plans.ts';
import { Switch } from '../../../router/switch/switch.ts';
import { sessionOfLane } from '../../../router/wire/lanes.ts';
import { peerAt, routesOf } from './routes.ts';

export const FAR_MTU = 1_388;

export interface Sent {
  readonly peer: number;
  readonly plain: boolean;
  /** The whole inner message. */
  readonly message: Uint8Array;
}

export interface HostFrame {
  readonly bytes: Uint8Array;
  readonly segment?: number;
  readonly flags?: number;
}

/** A switch of four peers in a full mesh or otherwise joined, of which it is the one at `self`; sessions are positions. */
export class SwitchBench {
  readonly written: { frame: Uint8Array; flags: number }[] = [];
  readonly sent: Sent[] = [];
  /** Of all entries of both plans. */
  readonly repeats: number[] = [];
  /** Of entries for frames of the host: the length of what the engine cuts them into. */
  readonly segments: number[] = [];
  readonly held: { peer: PeerName; message: Uint8Array | undefined }[] = [];
  readonly routes = new Map<PeerName, LinkRoute>();
  readonly switch: Switch;
  readonly plans: Plans;
  #received = new Uint8Array(0);
  #fromHost = new Uint8Array(0);
  #segment: FrameBatch['segment'] = new Uint32Array(0);

  constructor(self: number, edges: readonly (readonly [number, number])[] = FULL_MESH, entries = 8) {
    this.switch = new Switch({
      route: (peer) => this.routes.get(peer),
      hold: (peer, message) => void this.held.push({ peer, message }),
      sender: (batch, i) => {
        const peer = sessionOfLane(batch.session[i]!);
        return peer < PEERS ? peerAt(peer) : undefined;
      },
    });
    const execute = {
      send: (plan: SendPlan) => this.#onSend(plan),
      writeFrames: (plan: WritePlan) => this.#onWrite(plan),
    };
    this.plans = new Plans(execute, entries);
    this.switch.onRoutes(routesOf(PEERS, edges, self), 0);
    for (let peer = 0; peer < PEERS; peer++) if (peer !== self) this.link(peer);
  }

  link(peer: number, innerMtu = FAR_MTU, plain = false): void {
    this.routes.set(peerAt(peer), { session: peer, path: 100 + peer, plain, innerMtu });
  }

  fromHost(now: number, ...frames: readonly HostFrame[]): void {
    const { data, offsets } = joined(frames.map(({ bytes }) => bytes));
    this.#fromHost = data;
    const batch: FrameBatch = {
      count: frames.length,
      data,
      offset: Uint32Array.from(offsets),
      length: Uint32Array.from(frames, ({ bytes }) => bytes.length),
      segment: Uint32Array.from(frames, ({ bytes, segment }) => segment ?? bytes.length),
      flags: Uint8Array.from(frames, ({ flags }) => flags ?? 0),
    };
    this.#segment = batch.segment;
    this.switch.planFrames(batch, this.plans, now);
    this.plans.flush();
  }

  /** Whole inner messages from peer `from`, or on a lane of its session: {@link laneSession}. */
  fromPeer(now: number, from: number, ...messages: readonly Uint8Array[]): void {
    const { data, offsets } = joined(messages);
    this.#received = data;
    const count = messages.length;
    const batch: MessageBatch = {
      count,
      data,
      offset: Uint32Array.from(offsets, (offset) => offset + 2),
      length: Uint32Array.from(messages, (message) => message.length - 2),
      kind: Uint8Array.from(messages, (message) => message[0]!),
      flags: Uint8Array.from(messages, (message) => message[1]!),
      session: new Uint32Array(count).fill(from),
      tag: new Uint32Array(count),
      phase: new Uint8Array(count),
      plain: new Uint8Array(count),
      wireLength: Uint32Array.from(messages, (message) => message.length + 32),
      source: () => {
        throw new Error('The switch asks for no addresses.');
      },
    };
    this.switch.planMessages(batch, this.plans, now);
    this.plans.flush();
  }

  takeSent(): Sent[] {
    return this.sent.splice(0).sort((x, y) => x.peer - y.peer);
  }

  takeRepeats(): number[] {
    return this.repeats.splice(0);
  }

  takeWritten(): Uint8Array[] {
    return this.written.splice(0).map(({ frame }) => frame);
  }

  #onSend(plan: SendPlan): void {
    for (let i = 0; i < plan.count; i++) {
      const data = this.#sourceData(plan.source[i]!, plan.scratch);
      const at = i * PREFIX_STRIDE;
      const prefix = plan.prefixes.subarray(at, at + plan.prefixLength[i]!);
      const bytes = data.subarray(plan.offset[i], plan.offset[i]! + plan.length[i]!);
      const message = Uint8Array.from([...prefix, ...bytes]);
      const peer = plan.session[i]!;
      if (plan.path[i] !== 100 + peer) throw new Error('Session and path are of different links.');
      this.repeats.push(plan.repeat[i]!);
      if (plan.source[i] === SOURCE_TAP) this.segments.push(this.#segment[plan.item[i]!]!);
      this.sent.push({ peer, plain: plan.plain[i] === 1, message });
    }
  }

  #onWrite(plan: WritePlan): void {
    for (let i = 0; i < plan.count; i++) {
      const data = this.#sourceData(plan.source[i]!, plan.scratch);
      const frame = data.slice(plan.offset[i], plan.offset[i]! + plan.length[i]!);
      this.repeats.push(plan.repeat[i]!);
      this.written.push({ frame, flags: plan.flags[i]! });
    }
  }

  #sourceData(source: number, scratch: Uint8Array): Uint8Array {
    if (source === SOURCE_TAP) return this.#fromHost;
    return source === SOURCE_RECEIVED ? this.#received : scratch;
  }
}

export const PEERS = 4;

const FULL_MESH: readonly (readonly [number, number])[] = [
  [0, 1],
  [0, 2],
  [0, 3],
  [1, 2],
  [1, 3],
  [2, 3],
];

/** Pieces one after another, each after some bytes that belong to none. */
function joined(pieces: readonly Uint8Array[]): { data: Uint8Array<ArrayBuffer>; offsets: number[] } {
  const offsets: number[] = [];
  let length = 0;
  for (const piece of pieces) {
    offsets.push(length + 3);
    length += 3 + piece.length;
  }
  const data = new Uint8Array(length).fill(0xee);
  pieces.forEach((piece, i) => data.set(piece, offsets[i]));
  return { data, offsets };
}
