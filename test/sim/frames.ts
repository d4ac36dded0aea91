/** IEEE 802 local experimental. */
export const EXPERIMENTAL_ETHERTYPE = [0x88, 0xb5] as const;
/** In place of a host's number. */
export const BROADCAST = 0xff;
/** The least that Ethernet carries, without its checksum. */
const LEAST_BYTES = 60;

/** A frame between the hosts of these numbers, with nothing after its header. */
export function frameOf(from: number, to: number, bytes = LEAST_BYTES): Uint8Array {
  const frame = new Uint8Array(bytes);
  frame.set(to === BROADCAST ? new Uint8Array(6).fill(BROADCAST) : macOf(to));
  frame.set([...macOf(from), ...EXPERIMENTAL_ETHERTYPE], 6);
  return frame;
}

/** The host of a number. */
export function macOf(number: number): Uint8Array {
  return Uint8Array.of(0x02, 0xaa, 0, 0, number >> 8, number & 255);
}
