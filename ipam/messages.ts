import { fromHex } from '../core/bytes.ts';
import { pack } from '../core/msgpack.ts';
import { printable } from '../core/text.ts';
import { asHex, asInteger, asList, asText, decoded, SchemaViolation } from './closed-schema.ts';
import { decodeEntries, encodeEntries } from './delta-codec.ts';
import type { Entry, MemberEntry, RingEntry } from './entries.ts';
import { GENERATION_BYTES } from './owner-codec.ts';
import type { Span } from './range.ts';
import { CLUSTER_ID_BYTES } from './seed.ts';
import { packSpans, readSpans } from './span-codec.ts';

/** Between two peers' allocators, routed over the backbone; may be lost, repeated and reordered. Ids: 16 hex digits. */
export type Message =
  /** Wanted: addresses of `span`, as `want` says. */
  | {
      readonly type: 'space-request';
      readonly id: string;
      readonly clusterId: string;
      readonly generation: string;
      readonly span: Span;
      readonly want: Want;
    }
  /** The grant itself is in the ring; this carries the part that grants. */
  | { readonly type: 'granted'; readonly id: string; readonly ring: RingEntry }
  | { readonly type: 'denied'; readonly id: string; readonly reason: Denial; readonly holder: string }
  /** Wanted: the ring, and first of all this part of it. */
  | { readonly type: 'ring-request'; readonly id: string; readonly part: number }
  | RingReply
  /** This part of the ring was taken over: acknowledge once you hold it durably. */
  | { readonly type: 'take-over'; readonly id: string; readonly ring: RingEntry }
  /** With what the peer has handed out and does not own. */
  | { readonly type: 'taken'; readonly id: string; readonly member: MemberEntry | undefined }
  /** Would you take all that I own? I am about to leave the cluster. */
  | { readonly type: 'heir-request'; readonly id: string; readonly clusterId: string }
  | { readonly type: 'heir-answer'; readonly id: string; readonly willing: boolean }
  /** This is yours now: acknowledge once you hold it durably. */
  | { readonly type: 'bequest'; readonly id: string; readonly ring: RingEntry }
  | { readonly type: 'inherited'; readonly id: string }
  | { readonly type: 'survey'; readonly id: string }
  | SurveyReply;

/** any: some of the span. exact: the span is one address. back: what of it is not in use; the asker has handed it out. */
export type Want = 'any' | 'exact' | 'back';

/** What a peer holds, for `ipam check`. */
export interface SurveyReply {
  readonly type: 'survey-reply';
  readonly id: string;
  /** Empty without a ring. */
  readonly clusterId: string;
  readonly generation: string;
  /** Equal for equal rings; see fingerprint in ring-reply.ts. */
  readonly ring: number;
  /** Addresses that it has handed out, as offsets. */
  readonly used: readonly Span[];
  /** Own addresses that it must not give out yet: how many. */
  readonly quarantined: number;
}

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
  /** Rings, and members with conflicts. */
  readonly entries: readonly Entry[];
}

/** The `holder` of a denial for the sake of addresses that a take-over keeps in quarantine. */
export const QUARANTINED = 'quarantine';

/** none: nothing is free. later: ask again. in-use: `holder` has it. not-mine: somebody else owns it. */
export type Denial = 'none' | 'later' | 'in-use' | 'not-mine' | 'other-cluster';

const WANTS: readonly Want[] = ['any', 'exact', 'back'];
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
const TAKE_OVER = 6;
const TAKEN = 7;
const HEIR_REQUEST = 8;
const HEIR_ANSWER = 9;
const BEQUEST = 10;
const INHERITED = 11;
const SURVEY = 12;
const SURVEY_REPLY = 13;

export function encodeMessage(message: Message): Uint8Array {
  return pack([TYPES[message.type], fromHex(message.id), ...fieldsOf(message)]);
}

const TYPES: Readonly<Record<Message['type'], number>> = {
  'space-request': SPACE_REQUEST,
  granted: GRANTED,
  denied: DENIED,
  'ring-request': RING_REQUEST,
  'ring-reply': RING_REPLY,
  'take-over': TAKE_OVER,
  taken: TAKEN,
  'heir-request': HEIR_REQUEST,
  'heir-answer': HEIR_ANSWER,
  bequest: BEQUEST,
  inherited: INHERITED,
  survey: SURVEY,
  'survey-reply': SURVEY_REPLY,
};

type RingCarrier = Extract<Message, { readonly ring: RingEntry }>;

function fieldsOf(message: Message): unknown[] {
  if (carriesRing(message)) return [encodeEntries([message.ring])];
  switch (message.type) {
    case 'space-request': {
      const { clusterId, generation, span, want } = message;
      return [fromHex(clusterId), fromHex(generation), span.start, span.end, WANTS.indexOf(want)];
    }
    case 'taken':
      return [encodeEntries(message.member === undefined ? [] : [message.member])];
    case 'denied':
      return [DENIALS.indexOf(message.reason), message.holder];
    case 'ring-request':
      return [message.part];
    case 'ring-reply':
      return [message.answer, message.part, message.parts, encodeEntries(message.entries)];
    case 'heir-request':
      return [fromHex(message.clusterId)];
    case 'heir-answer':
      return [message.willing];
    case 'survey-reply': {
      const { clusterId, generation, ring, used, quarantined } = message;
      return [fromHex(clusterId), fromHex(generation), ring, packSpans(used), quarantined];
    }
    default:
      return [];
  }
}

function carriesRing(message: Message): message is RingCarrier {
  return message.type === 'granted' || message.type === 'take-over' || message.type === 'bequest';
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
  const read = READERS.get(fields[0]);
  return read?.(fields, id);
}

type Reader = (fields: readonly unknown[], id: string) => Message | undefined;

const READERS: ReadonlyMap<unknown, Reader> = new Map<number, Reader>([
  [SPACE_REQUEST, readSpaceRequest],
  [GRANTED, (fields, id) => withRing(fields[2], (ring) => ({ type: 'granted', id, ring }))],
  [DENIED, readDenied],
  [RING_REQUEST, (fields, id) => ({ type: 'ring-request', id, part: readPart(fields[2]) })],
  [RING_REPLY, readRingReply],
  [TAKE_OVER, (fields, id) => withRing(fields[2], (ring) => ({ type: 'take-over', id, ring }))],
  [TAKEN, readTaken],
  [HEIR_REQUEST, (fields, id) => ({ type: 'heir-request', id, clusterId: readCluster(fields[2]) })],
  [HEIR_ANSWER, (fields, id) => ({ type: 'heir-answer', id, willing: fields[2] === true })],
  [BEQUEST, (fields, id) => withRing(fields[2], (ring) => ({ type: 'bequest', id, ring }))],
  [INHERITED, (_, id) => ({ type: 'inherited', id })],
  [SURVEY, (_, id) => ({ type: 'survey', id })],
  [SURVEY_REPLY, readSurveyReply],
]);

function withRing(value: unknown, make: (ring: RingEntry) => Message): Message | undefined {
  const ring = readEntries(value).find((entry) => entry.type === 'ring');
  return ring && make(ring);
}

function readDenied(fields: readonly unknown[], id: string): Message {
  const reason = DENIALS[asInteger(fields[2], 0, DENIALS.length - 1, 'a reason')]!;
  return { type: 'denied', id, reason, holder: printable(asText(fields[3], MAX_HOLDER, 'a holder')) };
}

function readTaken(fields: readonly unknown[], id: string): Message {
  return { type: 'taken', id, member: readEntries(fields[2]).find((entry) => entry.type === 'member') };
}

function readSurveyReply(fields: readonly unknown[], id: string): SurveyReply {
  const none = fields[2] instanceof Uint8Array && fields[2].length === 0;
  return {
    type: 'survey-reply',
    id,
    clusterId: none ? '' : readCluster(fields[2]),
    generation: asHex(fields[3], GENERATION_BYTES, 'a generation'),
    ring: asInteger(fields[4], 0, 2 ** 32 - 1, 'a ring'),
    used: readSpans(fields[5], 'addresses'),
    quarantined: asInteger(fields[6], 0, Number.MAX_SAFE_INTEGER, 'a number of addresses'),
  };
}

function readCluster(value: unknown): string {
  return asHex(value, CLUSTER_ID_BYTES, 'a cluster id');
}

function readPart(value: unknown): number {
  return asInteger(value, 0, MAX_PARTS - 1, 'a part');
}

function readSpaceRequest(fields: readonly unknown[], id: string): Message {
  const start = asInteger(fields[4], 0, Number.MAX_SAFE_INTEGER - 1, 'a start');
  return {
    type: 'space-request',
    id,
    clusterId: readCluster(fields[2]),
    generation: asHex(fields[3], GENERATION_BYTES, 'a generation'),
    span: { start, end: asInteger(fields[5], start + 1, Number.MAX_SAFE_INTEGER, 'an end') },
    want: WANTS[asInteger(fields[6], 0, WANTS.length - 1, 'a wish')]!,
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
    entries: readEntries(fields[5]).filter(({ type }) => type === 'ring' || type === 'member'),
  };
}

function readEntries(value: unknown): Entry[] {
  if (!(value instanceof Uint8Array)) throw new SchemaViolation('a delta that is no bytes');
  return decodeEntries(value);
}
