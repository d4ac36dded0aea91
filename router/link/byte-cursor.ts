import { concatBytes, fromHex, toHex } from '../../core/bytes.ts';
import { ipFromBytes, ipToBytes } from '../../core/address.ts';
import type { IpAddress } from '../../core/address.ts';
import { PEER_NAME_BYTES, readPeerName, writePeerName } from '../../core/peer-name.ts';
import type { PeerName } from '../../core/peer-name.ts';

/**
 * Reads fields of a control message one after another. A read past the end or of an invalid value yields a zero and
 * marks the reader as failed, so that a parser checks {@link ByteReader.failed} once, at its end.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get failed(): boolean {
    return this.#failed;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** For a field that was read but is not acceptable. */
  fail(): void {
    this.#failed = true;
  }

  u8(): number {
    return this.#take(1) ? this.#view.getUint8(this.#at - 1) : 0;
  }

  u16(): number {
    return this.#take(2) ? this.#view.getUint16(this.#at - 2, true) : 0;
  }

  u32(): number {
    return this.#take(4) ? this.#view.getUint32(this.#at - 4, true) : 0;
  }

  /** Fails above 2^53 - 1. */
  u64(): number {
    const low = this.u32();
    const high = this.u32();
    if (high >= 2 ** 21) this.fail();
    return this.#failed ? 0 : high * 2 ** 32 + low;
  }

  /** A copy of the next `length` bytes; empty if there are fewer. */
  bytes(length: number): Uint8Array {
    return this.#take(length) ? this.#bytes.slice(this.#at - length, this.#at) : new Uint8Array(0);
  }

  /** The next `length` bytes as hexadecimal digits. */
  hex(length: number): string {
    return toHex(this.bytes(length));
  }

  /** A receiver index: a u32 other than 0. */
  index(): number {
    const index = this.u32();
    if (index === 0) this.fail();
    return index;
  }

  rest(): Uint8Array {
    return this.bytes(this.#bytes.length - this.#at);
  }

  name(): PeerName {
    return this.#take(PEER_NAME_BYTES)
      ? readPeerName(this.#bytes, this.#at - PEER_NAME_BYTES)
      : ('' as PeerName);
  }

  /** family u8 (4 or 6) | 4 or 16 bytes */
  ip(): IpAddress {
    const family = this.u8();
    const ip = family === 4 || family === 6 ? ipFromBytes(this.bytes(family === 4 ? 4 : 16)) : undefined;
    if (ip?.family === family) return ip;
    this.fail();
    return { family: 4, value: 0n };
  }

  #take(length: number): boolean {
    if (this.#failed || this.#at + length > this.#bytes.length) this.#failed = true;
    else this.#at += length;
    return !this.#failed;
  }
}

/** Collects the fields that {@link ByteReader} reads. */
export class ByteWriter {
  readonly #parts: Uint8Array[] = [];

  u8(value: number): this {
    return this.bytes(Uint8Array.of(value));
  }

  u16(value: number): this {
    return this.bytes(Uint8Array.of(value, value >>> 8));
  }

  u32(value: number): this {
    return this.bytes(Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24));
  }

  u64(value: number): this {
    return this.u32(value >>> 0).u32(Math.floor(value / 2 ** 32));
  }

  bytes(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }

  /** `digits` are known to be hexadecimal. */
  hex(digits: string): this {
    return this.bytes(fromHex(digits) ?? new Uint8Array(0));
  }

  name(name: PeerName): this {
    const out = new Uint8Array(PEER_NAME_BYTES);
    writePeerName(name, out, 0);
    return this.bytes(out);
  }

  ip(ip: IpAddress): this {
    return this.u8(ip.family).bytes(ipToBytes(ip));
  }

  done(): Uint8Array {
    return concatBytes(...this.#parts);
  }
}
