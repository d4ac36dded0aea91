import type { PeerName } from '../../core/peer-name.ts';
import { ByteReader, ByteWriter } from './byte-cursor.ts';
import { SESSION_NAME_BYTES } from './session-name.ts';

/** Peers of a circuit, both ends included. */
export const MAX_CIRCUIT_PEERS = 16;
const MIN_CIRCUIT_PEERS = 3;

/** Why a hop does not take part; the number is the wire's. */
export const REFUSALS = {
  malformed: 1,
  'edge-not-direct': 2,
  'too-many-circuits': 3,
  'no-session': 4,
  duplicate: 5,
  'timed-out': 6,
} as const;
export type Refusal = keyof typeof REFUSALS;

/**
 * Messages between the neighbours along a circuit. `id` is 8 random bytes of its initiator, as hexadecimal digits;
 * `session` is the name that both ends know the session by that the circuit is for.
 *
 *   open     1 | id 8 | session 8 | position u8 | index u32 LE | peers u8 | n x name 6
 *   opened   2 | id 8 | index u32 LE
 *   refused  3 | id 8 | position u8 | reason u8
 *   close    4 | id 8
 */
export type CircuitMessage =
  /** `position` is the receiver's place in `path`; `index` is where the sender takes the way back. */
  | {
      readonly type: 'open';
      readonly id: string;
      readonly session: string;
      readonly position: number;
      readonly index: number;
      readonly path: readonly PeerName[];
    }
  /** `index` is where the sender takes the way forth. */
  | { readonly type: 'opened'; readonly id: string; readonly index: number }
  /** The edge between the peers at `position` and `position` + 1 cannot be used. */
  | { readonly type: 'refused'; readonly id: string; readonly position: number; readonly reason: Refusal }
  | { readonly type: 'close'; readonly id: string };

const TYPES = { open: 1, opened: 2, refused: 3, close: 4 } as const;
export const CIRCUIT_ID_BYTES = 8;

export function encodeCircuitMessage(message: CircuitMessage): Uint8Array {
  const writer = new ByteWriter().u8(TYPES[message.type]).hex(message.id);
  switch (message.type) {
    case 'open':
      writer.hex(message.session).u8(message.position).u32(message.index).u8(message.path.length);
      for (const name of message.path) writer.name(name);
      break;
    case 'opened':
      writer.u32(message.index);
      break;
    case 'refused':
      writer.u8(message.position).u8(REFUSALS[message.reason]);
      break;
    case 'close':
      break;
  }
  return writer.done();
}

/** Undefined if malformed. An `open` has a path of 3 to 16 different names, and its position lies behind the first. */
export function parseCircuitMessage(bytes: Uint8Array): CircuitMessage | undefined {
  const reader = new ByteReader(bytes);
  const type = reader.u8();
  const id = reader.hex(CIRCUIT_ID_BYTES);
  const message = readBody(reader, type, id);
  return reader.failed || !reader.atEnd ? undefined : message;
}

function readBody(reader: ByteReader, type: number, id: string): CircuitMessage | undefined {
  switch (type) {
    case TYPES.open:
      return readOpen(reader, id);
    case TYPES.opened:
      return { type: 'opened', id, index: reader.index() };
    case TYPES.refused:
      return { type: 'refused', id, position: reader.u8(), reason: refusalOf(reader.u8()) };
    case TYPES.close:
      return { type: 'close', id };
    default:
      return undefined;
  }
}

function readOpen(reader: ByteReader, id: string): CircuitMessage | undefined {
  const session = reader.hex(SESSION_NAME_BYTES);
  const position = reader.u8();
  const index = reader.index();
  const count = reader.u8();
  if (count < MIN_CIRCUIT_PEERS || count > MAX_CIRCUIT_PEERS) return undefined;
  if (position < 1 || position >= count) return undefined;
  const path = Array.from({ length: count }, () => reader.name());
  return new Set(path).size === count ? { type: 'open', id, session, position, index, path } : undefined;
}

/** A reason of a later version reads as `malformed`: the edge is avoided all the same. */
function refusalOf(code: number): Refusal {
  for (const [reason, known] of Object.entries(REFUSALS)) if (known === code) return reason as Refusal;
  return 'malformed';
}
