import type { Millis } from '../../core/time.ts';
import type { SecureChannel, SecureChannelEffect } from '../../gossip/secure-channel.ts';

const SID_BYTES = 16;

/** What a {@link PlainChannel} is made with: a number that makes its sid, and the passwords of its side. */
export interface PlainChannelOptions {
  readonly id: number;
  /** A dialler tries one; an acceptor takes any of its own. Empty = no password. */
  readonly passwords: readonly string[];
  readonly role: 'dialler' | 'acceptor';
  /** Position of a dialler's password in the node's list. */
  readonly attempt: number;
}

/**
 * A stand-in for the secure channel: both sides send 16 bytes that make the sid and the passwords in clear, then
 * frames of u32 length and payload.
 */
export class PlainChannel implements SecureChannel {
  readonly #options: PlainChannelOptions;
  #effects: SecureChannelEffect[] = [];
  #buffer = new Uint8Array(0);
  #open = false;
  #dead = false;

  constructor(options: PlainChannelOptions) {
    this.#options = options;
    const text = JSON.stringify({ id: options.id, passwords: options.passwords });
    this.#frame(new TextEncoder().encode(text));
  }

  onBytes(bytes: Uint8Array): void {
    const joined = new Uint8Array(this.#buffer.length + bytes.length);
    joined.set(this.#buffer);
    joined.set(bytes, this.#buffer.length);
    this.#buffer = joined;
    while (!this.#dead && this.#buffer.length >= 4) {
      const length = new DataView(this.#buffer.buffer, this.#buffer.byteOffset).getUint32(0);
      if (length > 1 << 20) return this.#fail('frame-too-long', 'ADDRESS sent too long a frame');
      if (this.#buffer.length < 4 + length) return;
      const payload = this.#buffer.slice(4, 4 + length);
      this.#buffer = this.#buffer.slice(4 + length);
      if (this.#open) this.#effects.push({ type: 'message', bytes: payload });
      else this.#onGreeting(payload);
    }
  }

  onTaskDone(): void {
    // No tasks.
  }

  send(message: Uint8Array): void {
    this.#frame(message);
  }

  close(): void {
    this.#dead = true;
  }

  nextTimeout(): Millis | undefined {
    return undefined;
  }

  onTimeout(): void {
    // No timers.
  }

  drain(): SecureChannelEffect[] {
    return this.#effects.splice(0);
  }

  #onGreeting(payload: Uint8Array): void {
    let theirs: { id: number; passwords: string[] };
    try {
      theirs = JSON.parse(new TextDecoder().decode(payload)) as typeof theirs;
    } catch {
      return this.#fail('not-weave-ts', 'ADDRESS does not speak weave-ts');
    }
    const own = this.#options;
    const [dialler, acceptor] = own.role === 'dialler' ? [own, theirs] : [theirs, own];
    if (own.passwords.length === 0 && theirs.passwords.length > 0) {
      return this.#fail('password-required-there', 'ADDRESS requires a password, none is set here');
    }
    if (own.passwords.length > 0 && theirs.passwords.length === 0) {
      return this.#fail('password-required-here', 'ADDRESS has no password, one is set here');
    }
    const tried = dialler.passwords[0];
    if (tried !== undefined && !acceptor.passwords.includes(tried)) {
      return this.#fail('password-mismatch', 'password mismatch with ADDRESS');
    }
    this.#open = true;
    const sid = new Uint8Array(SID_BYTES);
    const view = new DataView(sid.buffer);
    view.setUint32(0, Math.imul(dialler.id * 31 + acceptor.id, 0x9e3779b1) >>> 0);
    view.setUint32(4, dialler.id);
    view.setUint32(8, acceptor.id);
    const position = own.role === 'dialler' ? own.attempt : own.passwords.indexOf(tried ?? '');
    const passwordIndex = tried === undefined ? 0 : position;
    this.#effects.push({ type: 'open', sid, encrypted: tried !== undefined, passwordIndex });
  }

  #fail(reason: Extract<SecureChannelEffect, { type: 'failed' }>['reason'], detail: string): void {
    this.#dead = true;
    this.#effects.push({ type: 'failed', reason, detail });
  }

  #frame(payload: Uint8Array): void {
    this.#effects.push({ type: 'write', bytes: frame(payload) });
  }
}

/** A message as it is on the stream. */
export function frame(payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(4 + payload.length);
  new DataView(out.buffer).setUint32(0, payload.length);
  out.set(payload, 4);
  return out;
}
