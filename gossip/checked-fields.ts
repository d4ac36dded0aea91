import { unpack } from '../core/msgpack.ts';
import { printable } from '../core/text.ts';
import { MalformedDelta } from './channel.ts';

/** The fields of control messages and topology deltas, checked. All throw {@link MalformedDelta} naming `what`. */

/** Decodes exactly one value. Throws {@link MalformedDelta} on anything outside the closed set. */
export function decoded(bytes: Uint8Array): unknown {
  const value = unpack(bytes);
  if (value === undefined) throw new MalformedDelta('not in the closed set of MessagePack');
  return value;
}

/** An array of exactly `length` items. */
export function tuple(value: unknown, length: number, what: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length !== length) throw new MalformedDelta(what);
  return value;
}

/** An array of at most `max` items. */
export function list(value: unknown, max: number, what: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length > max) throw new MalformedDelta(what);
  return value;
}

/** An integer in [0, max]. */
export function uint(value: unknown, max: number, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) {
    throw new MalformedDelta(what);
  }
  return value;
}

/** Text of at most `max` UTF-16 units, made printable. */
export function text(value: unknown, max: number, what: string): string {
  if (typeof value !== 'string' || value.length > max) throw new MalformedDelta(what);
  return printable(value);
}

/** Between `min` and `max` bytes. A view of the decoded message: copy what is kept. */
export function blob(value: unknown, min: number, max: number, what: string): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length < min || value.length > max) {
    throw new MalformedDelta(what);
  }
  return value;
}

export function flag(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw new MalformedDelta(what);
  return value;
}
