/** Above this the room is given back after use. */
const KEPT_BYTES = 65_536;
const FIRST_BYTES = 1_024;
/** No token with its count is longer. */
const LONGEST_TOKEN = 9;

const textEncoder = new TextEncoder();

/** Writes MessagePack of the closed set into room that is used again and again; each value in its shortest form. */
export class MsgpackWriter {
  #room = new Uint8Array(FIRST_BYTES);
  #view = new DataView(this.#room.buffer);
  #at = 0;

  /** The bytes are the caller's. Throws TypeError on what is outside the closed set: only a bug writes that. */
  write(value: unknown): Uint8Array {
    this.#at = 0;
    this.#value(value);
    const bytes = this.#room.slice(0, this.#at);
    if (this.#room.length > KEPT_BYTES) this.#setRoom(new Uint8Array(FIRST_BYTES));
    return bytes;
  }

  #value(value: unknown): void {
    this.#reserve(LONGEST_TOKEN);
    if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'string') this.#text(value);
    else if (value instanceof Uint8Array) this.#blob(value);
    else if (Array.isArray(value)) this.#array(value);
    else if (value === null) this.#room[this.#at++] = 0xc0;
    else if (typeof value === 'boolean') this.#room[this.#at++] = value ? 0xc3 : 0xc2;
    else throw new TypeError(`A ${typeof value} is not in the closed set.`);
  }

  /** Integers beyond 32 bits go as floats, which hold them exactly up to 2^53. */
  #number(value: number): void {
    if (value >>> 0 === value) this.#unsigned(value);
    else if (value >> 0 === value) this.#negative(value);
    else {
      this.#room[this.#at] = 0xcb;
      this.#view.setFloat64(this.#at + 1, value);
      this.#at += 9;
    }
  }

  #unsigned(value: number): void {
    if (value < 0x80) this.#room[this.#at++] = value;
    else this.#sized(0xcc, value);
  }

  #negative(value: number): void {
    if (value >= -0x20) this.#room[this.#at++] = value;
    else if (value >= -0x80) this.#token(0xd0, 1, value);
    else if (value >= -0x8000) this.#token(0xd1, 2, value);
    else this.#token(0xd2, 4, value);
  }

  #text(text: string): void {
    const from = this.#at;
    const room = this.#reserve(LONGEST_TOKEN + 3 * text.length);
    if (text.length < 0x20) {
      let i = 0;
      for (; i < text.length; i++) {
        const code = text.charCodeAt(i);
        if (code > 0x7f) break;
        room[from + 1 + i] = code;
      }
      if (i === text.length) {
        room[from] = 0xa0 | i;
        this.#at = from + 1 + i;
        return;
      }
    }
    this.#encodedText(textEncoder.encode(text));
  }

  #encodedText(bytes: Uint8Array): void {
    if (bytes.length < 0x20) this.#room[this.#at++] = 0xa0 | bytes.length;
    else this.#sized(0xd9, bytes.length);
    this.#append(bytes);
  }

  #blob(bytes: Uint8Array): void {
    this.#sized(0xc4, bytes.length);
    this.#append(bytes);
  }

  #array(items: readonly unknown[]): void {
    const { length } = items;
    if (length < 0x10) this.#room[this.#at++] = 0x90 | length;
    else if (length < 0x10000) this.#token(0xdc, 2, length);
    else this.#token(0xdd, 4, length);
    for (let i = 0; i < length; i++) this.#value(items[i]);
  }

  /** `first` = the token for a number of one byte; those for two and for four bytes follow it. */
  #sized(first: number, value: number): void {
    if (value < 0x100) this.#token(first, 1, value);
    else if (value < 0x10000) this.#token(first + 1, 2, value);
    else this.#token(first + 2, 4, value);
  }

  #token(token: number, width: 1 | 2 | 4, value: number): void {
    const at = this.#at;
    this.#room[at] = token;
    if (width === 1) this.#room[at + 1] = value;
    else if (width === 2) this.#view.setUint16(at + 1, value);
    else this.#view.setUint32(at + 1, value);
    this.#at = at + 1 + width;
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.length).set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Makes room for `more` bytes. */
  #reserve(more: number): Uint8Array {
    const needed = this.#at + more;
    if (needed > this.#room.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#room.length));
      grown.set(this.#room.subarray(0, this.#at));
      this.#setRoom(grown);
    }
    return this.#room;
  }

  #setRoom(room: Uint8Array<ArrayBuffer>): void {
    this.#room = room;
    this.#view = new DataView(room.buffer);
  }
}
