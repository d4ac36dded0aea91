import { open, seal } from './chacha.ts';

/**
 * The datagram written out a second time, from its description and on node:crypto alone, with counters of any 64 bits:
 *
 *   type u8 | phase u8 | 0 0 | index u32 LE | counter u64 LE | ciphertext | tag 16, or payload | cookie 16
 */
export interface OracleDatagram {
  readonly type: number;
  readonly phase: number;
  readonly index: number;
  readonly counter: bigint;
  /** Plaintext of a sealed one, undefined if its tag is wrong; payload of a plain one. */
  readonly inner: Uint8Array | undefined;
  /** The last 16 bytes. */
  readonly tail: Uint8Array;
}

export interface OracleHeader {
  readonly phase?: number;
  readonly index: number;
  readonly counter: bigint;
}

export function sealDatagram(key: Uint8Array, header: OracleHeader, inner: Uint8Array): Uint8Array {
  return Uint8Array.from([...headerOf(1, header), ...seal(key, header.counter, inner)]);
}

export function plainDatagram(cookie: Uint8Array, header: OracleHeader, inner: Uint8Array): Uint8Array {
  return Uint8Array.from([...headerOf(2, header), ...inner, ...cookie]);
}

/** Takes a datagram of at least 32 bytes apart; `key` is for sealed ones. */
export function openDatagram(key: Uint8Array, datagram: Uint8Array): OracleDatagram {
  const bytes = Buffer.from(datagram);
  const [type, phase, index, counter] = [
    bytes.readUInt8(0),
    bytes.readUInt8(1),
    bytes.readUInt32LE(4),
    bytes.readBigUInt64LE(8),
  ];
  const inner = type === 1 ? open(key, counter, datagram.slice(16)) : datagram.slice(16, -16);
  return { type, phase, index, counter, inner, tail: datagram.slice(-16) };
}

function headerOf(type: number, { phase = 0, index, counter }: OracleHeader): Uint8Array {
  const header = Buffer.alloc(16);
  header.writeUInt8(type, 0);
  header.writeUInt8(phase, 1);
  header.writeUInt32LE(index, 4);
  header.writeBigUInt64LE(counter, 8);
  return header;
}
