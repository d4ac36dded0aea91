import { createHmac, hash } from 'node:crypto';

/*
 * Node's own, although this folder has no effects: nor do these. In JavaScript the first hundred hashes of a thread take
 * 0.4 ms each, as it has not been compiled by then, and a start needs some hundred.
 */

/** 64 bytes, outside of the heap that V8 moves. */
export function sha512(message: Uint8Array): Uint8Array {
  return bytesOf(hash('sha512', message, 'buffer'));
}

/** HMAC-SHA-512 (RFC 2104) with a key of any length: 64 bytes, likewise. */
export function hmacSha512(key: Uint8Array, message: Uint8Array): Uint8Array {
  return bytesOf(createHmac('sha512', key).update(message).digest());
}

/** Buffers compare and print otherwise than arrays. */
function bytesOf({ buffer, byteOffset, length }: Buffer): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}
