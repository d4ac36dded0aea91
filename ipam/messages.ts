import { fromHex } from '../core/bytes.ts';
import { pack } from '../core/msgpack.ts';
import { printable } from '../core/text.ts';
import { asHex, asInteger, asList, asText, decoded, SchemaViolation } from './closed-schema.ts';
import { decodeEntries, encodeEntries, GENERATION_BYTES } from './delta-codec.ts';
import type { RingEntry } from './entries.ts';
import type { Span } from './range.ts';
import { CLUSTER_ID_BYTES } from './seed.ts';

/** Between two peers' allocators, routed over the backbone; may be lost, repeated and reordered. Ids: 16 hex digits. */
export type Message =
  /** Wanted: addresses of `span`; of an `exact` request the span is one address. */
  | {
      readonly type: 'space-request';
      readonly id: string;
      readonly clusterId: string;
      readonly generation: string;
      readonly span: Span;
      readonly exact: boolean;
    }
  /** The grant itself is in the ring; this carries the part that grants. */
  | { readonly type: 'granted'; readonly id: string; readonly ring: RingEntry }
  | { readonly type: 'denied'; readonly id: string; readonly reason: Denial; readonly holder: string }
  /** Wanted: the ring, and first of all this part of it. */
  | { readonly type: 'ring-request'; readonly id: string; readonly part: number }
  | RingReply;

/** A part of what the peer holds at this moment; nothing while it has no ring. */
export interface RingReply {
  readonly type: 'ring-reply';
  readonly id: string;
  /** Stands for the whole ring: parts of different rings do not make a whole. */
  readonly answer: number;
  /** From 0. */
  readonly part: number;
  /** At most {@link MAX_PARTS}. */
  readonly parts: number;
  readonly rings: readonly RingEntry[];
}

/** none: nothing is free. later: ask again. in-use: `holder` has it. not-mine: somebody else owns it. */
export type Denial = 'none' | 'later' | 'in-use' | 'not-mine' | 'other-cluster';

const DENIALS: readonly Denial[] = ['none', 'later', 'in-use', 'not-mine', 'other-cluster'];

export const REQUEST_ID_BYTES = 8;
/** Enough for the largest ring. */
export const MAX_PARTS = 128;
const MAX_HOLDER = 256;

const SPACE_REQUEST = 1;
const GRANTED = 2;
const DENIED = 3;
const RING_REQUEST = 4;
const RING_REPLY = 5;

export function encodeMessage(message: Message): Uint8Array {
  const id = fromHex(message.id);
  switch (message.type) {
    case 'space-request': {
      const { clusterId, generation, span, exact } = message;
      return pack([SPACE_REQUEST, id, fromHex(clusterId), fromHex(generation), span.start, span.end, exact]);
    }
    case 'granted':
      return pack([GRANTED, id, encodeEntries([message.ring])]);
    case 'denied':
      return pack([DENIED, id, DENIALS.indexOf(message.reason), message.holder]);
    case 'ring-request':
      return pack([RING_REQUEST, id, message.part]);
    case 'ring-reply':
      return pack([
        RING_REPLY,
        id,
        message.answer,
        message.part,
        message.parts,
        encodeEntries(message.rings),
      ]);
  }
}

/** Undefined for bytes that are no message. */
export function decodeMessage(bytes: Uint8Array): Message | undefined {
  try {
    const fields = asList(decoded(bytes), 'a message');
    return readMessage(fields, asHex(fields[1], REQUEST_ID_BYTES, 'an id'));
  } catch (error) {
    if (error instanceof SchemaViolation) return undefined;
    throw error;
  }
}

function readMessage(fields: readonly unknown[], id: string): Message | undefined {
  switch (fields[0]) {
    case SPACE_REQUEST:
      return readSpaceRequest(fields, id);
    case GRANTED: {
      const [ring] = readRings(fields[2]);
      return ring && { type: 'granted', id, ring };
    }
    case DENIED: {
      const reason = DENIALS[asInteger(fields[2], 0, DENIALS.length - 1, 'a reason')]!;
      return { type: 'denied', id, reason, holder: printable(asText(fields[3], MAX_HOLDER, 'a holder')) };
    }
    case RING_REQUEST:
      return { type: 'ring-request', id, part: asInteger(fields[2], 0, MAX_PARTS - 1, 'a part') };
    case RING_REPLY:
      return readRingReply(fields, id);
    default:
      return undefined;
  }
}

function readSpaceRequest(fields: readonly unknown[], id: string): Message {
  const start = asInteger(fields[4], 0, Number.MAX_SAFE_INTEGER - 1, 'a start');
  return {
    type: 'space-request',
    id,
    clusterId: asHex(fields[2], CLUSTER_ID_BYTES, 'a cluster id'),
    generation: asHex(fields[3], GENERATION_BYTES, 'a generation'),
    span: { start, end: asInteger(fields[5], start + 1, Number.MAX_SAFE_INTEGER, 'an end') },
    exact: fields[6] === true,
  };
}

function readRingReply(fields: readonly unknown[], id: string): RingReply {
  const parts = asInteger(fields[4], 1, MAX_PARTS, 'a number of parts');
  return {
    type: 'ring-reply',
    id,
    answer: asInteger(fields[2], 0, Number.MAX_SAFE_INTEGER, 'an answer'),
    part: asInteger(fields[3], 0, parts - 1, 'a part'),
    parts,
    rings: readRings(fields[5]),
  };
}

function readRings(value: unknown): RingEntry[] {
  if (!(value instanceof Uint8Array)) throw new SchemaViolation('rings that are no bytes');
  return decodeEntries(value).filter((entry) => entry.type === 'ring');
}
