import { ipFromBytes, ipToBytes, type Endpoint } from '../../core/address.ts';
import type { EngineDrop } from './port.ts';

/** What native/src/engine.h and event_log.h say in C: the two must agree, and the addon refuses arrays of other sizes. */
const FRAME_CAPACITY = 64;
const FRAME_BYTES = 1 << 20;
const RECEIVE_SLOTS = 32;
/** A slot holds what one system call gives for one message: datagrams of one source, joined by the kernel. */
export const SLOT_BYTES = 65_536;
const SLOT_DATAGRAMS = 64;
const MESSAGE_CAPACITY = RECEIVE_SLOTS * SLOT_DATAGRAMS;
const EVENT_CAPACITY = 1_024;
export const EVENT_WORDS = 5;

export const EVENT_ROAMED = 1;
export const EVENT_TOO_BIG = 2;
export const EVENT_SEND_FAILED = 3;
export const EVENT_SENT = 5;
export const EVENT_RECEIVED = 6;

/** Address (IPv4-mapped if IPv4) and port, most significant byte first. */
export const ENDPOINT_BYTES = 18;
const PORT_AT = 16;
const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/** In the order of `drop_reason`. */
export const engineDrops: readonly EngineDrop[] = [
  'datagram-too-short',
  'datagram-type-unknown',
  'datagram-reserved-bits',
  'index-unknown',
  'key-unknown',
  'tag-invalid',
  'counter-replayed',
  'counter-too-old',
  'cookie-invalid',
  'label-source-wrong',
  'counter-exhausted',
  'path-unknown',
  'socket-queue-full',
  'receive-queue-full',
  'tap-queue-full',
  'frame-malformed',
  'frame-too-long',
];

/** Memory that C and JavaScript share for the life of an engine, so that no packet costs an allocation. */
export type EngineArrays = ReturnType<typeof engineArrays>;

export function engineArrays() {
  return Object.freeze({
    frameData: new Uint8Array(FRAME_BYTES),
    frameOffset: new Uint32Array(FRAME_CAPACITY),
    frameLength: new Uint32Array(FRAME_CAPACITY),
    frameSegment: new Uint32Array(FRAME_CAPACITY),
    frameFlags: new Uint8Array(FRAME_CAPACITY),
    messageData: new Uint8Array(RECEIVE_SLOTS * SLOT_BYTES),
    messageOffset: new Uint32Array(MESSAGE_CAPACITY),
    messageLength: new Uint32Array(MESSAGE_CAPACITY),
    messageKind: new Uint8Array(MESSAGE_CAPACITY),
    messageFlags: new Uint8Array(MESSAGE_CAPACITY),
    messageSession: new Uint32Array(MESSAGE_CAPACITY),
    messageTag: new Uint32Array(MESSAGE_CAPACITY),
    messagePhase: new Uint8Array(MESSAGE_CAPACITY),
    messagePlain: new Uint8Array(MESSAGE_CAPACITY),
    messageWireLength: new Uint32Array(MESSAGE_CAPACITY),
    slotSources: new Uint8Array(RECEIVE_SLOTS * ENDPOINT_BYTES),
    drops: new Uint32Array(engineDrops.length),
    /** Type, number of the session, path or label, and three values. */
    events: new Uint32Array(EVENT_CAPACITY * EVENT_WORDS),
    eventSources: new Uint8Array(EVENT_CAPACITY * ENDPOINT_BYTES),
  });
}

export function endpointToBytes(endpoint: Endpoint): Uint8Array {
  const out = new Uint8Array(ENDPOINT_BYTES);
  const ip = ipToBytes(endpoint.ip);
  if (endpoint.ip.family === 4) out.set(MAPPED_PREFIX);
  out.set(ip, PORT_AT - ip.length);
  out[PORT_AT] = endpoint.port >>> 8;
  out[PORT_AT + 1] = endpoint.port;
  return out;
}

export function endpointFromBytes(bytes: Uint8Array, at: number): Endpoint {
  const ip = ipFromBytes(bytes.subarray(at, at + PORT_AT))!;
  return { ip, port: (bytes[at + PORT_AT]! << 8) | bytes[at + PORT_AT + 1]! };
}
