import { loadAddon } from '../../../router/engine/addon.ts';

export const TCP_HEADERS = 14 + 20 + 20;

/** TCP over IPv4 with a partial checksum. */
export function tcpFrame(payload: number): Uint8Array {
  const frame = new Uint8Array(TCP_HEADERS + payload);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
  const bytes = frame.length - 14;
  frame.set([0x45, 0, bytes >> 8, bytes & 255, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 32, 0, 1, 10, 32, 0, 2], 14);
  frame.set([0x9c, 0x40, 0x13, 0x89, 0, 0, 3, 0xe8, 0, 0, 0, 1, 0x50, 0x18], 34);
  for (let i = 0; i < payload; i++) frame[TCP_HEADERS + i] = i % 251;
  return frame;
}

/** What the addon alone makes of a super-frame: segments of at most so many bytes of payload. */
export function tcpSegments(frame: Uint8Array, payload: number): Uint8Array[] {
  const out = new Uint8Array(1 << 17);
  const lengths = new Uint32Array(64);
  const count = loadAddon().cutFrame(frame, TCP_HEADERS + payload, out, lengths);
  let at = 0;
  return [...lengths.subarray(0, count)].map((length) => out.slice(at, (at += length)));
}
