import type { Cidr } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { EngineChange, HandedFrame } from './engine/port.ts';
import type { LinkRoute } from './switch/link-view.ts';
import type { MacEvent, SharedMac } from './switch/mac-table.ts';

/** What the DataNode (worker 0) tells a LaneNode (any other worker). Plain data: it crosses threads by structured clone. */
export type ToLane =
  /** Changes for this worker's engine: what worker 0's has got, changed to the lanes of this one. */
  | { readonly type: 'configure'; readonly changes: readonly EngineChange[] }
  /** Who is at the other end of a lane; comes before its `session` in `configure`. */
  | {
      readonly type: 'session';
      /** The engine's number of the lane. */
      readonly session: number;
      readonly peer: PeerName;
      /** False = there is no password and everything comes plain. */
      readonly sealed: boolean;
      readonly remoteTrusted: readonly Cidr[];
    }
  /** How frames go to the peer from here; undefined = by way of worker 0. */
  | {
      readonly type: 'route';
      readonly peer: PeerName;
      readonly route: LinkRoute | undefined;
      /** The peer cannot be the one who sends plain. */
      readonly refusesPlain: boolean;
    }
  /** What other workers learned. */
  | { readonly type: 'learned'; readonly macs: readonly SharedMac[] }
  | { readonly type: 'peer-gone'; readonly peer: PeerName }
  /** All MACs (6 bytes each, concatenated) of local ports. */
  | { readonly type: 'local-macs'; readonly macs: Uint8Array }
  /** So many more of the frames that were handed over, of so many bytes together, have been dealt with. */
  | { readonly type: 'frames-taken'; readonly count: number; readonly bytes: number };

/** What went over a lane since the last time. */
export interface LaneTraffic {
  /** The engine's number of the lane. */
  readonly session: number;
  readonly sentDatagrams: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** What a LaneNode tells the DataNode. */
export type FromLane =
  /** Frames that the host sent and that this worker cannot decide on, in their order. */
  | { readonly type: 'frames'; readonly frames: readonly HandedFrame[] }
  | { readonly type: 'learned'; readonly macs: readonly SharedMac[] }
  | { readonly type: 'mac-events'; readonly events: readonly MacEvent[] }
  | { readonly type: 'traffic'; readonly lanes: readonly LaneTraffic[] }
  /** As the engine's event; paths have the same numbers in all engines. */
  | { readonly type: 'too-big'; readonly path: number; readonly size: number }
  | { readonly type: 'dropped'; readonly reason: string; readonly count: number }
  | { readonly type: 'failed'; readonly error: string };

/** The answer to `frames`. */
export function framesTaken(frames: readonly HandedFrame[]): ToLane {
  const bytes = frames.reduce((sum, frame) => sum + frame.bytes.length, 0);
  return { type: 'frames-taken', count: frames.length, bytes };
}

/** What crosses to the other thread without being copied: the sender has no further use for it. */
export function transferred(messages: readonly FromLane[]): ArrayBuffer[] {
  return messages.flatMap((message) =>
    message.type === 'frames' ? message.frames.map(({ bytes }) => bytes.buffer as ArrayBuffer) : [],
  );
}

/** Keys are handed over once: whoever has passed the message on, or done what it says, forgets them. */
export function wipeLaneKeys(message: ToLane): void {
  if (message.type !== 'configure') return;
  for (const change of message.changes) {
    if (change.type !== 'key') continue;
    change.send.fill(0);
    change.receive.fill(0);
  }
}
