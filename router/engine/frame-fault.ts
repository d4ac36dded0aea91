import { ETHERNET_HEADER_BYTES } from '../wire/ethernet.ts';
import type { EngineDrop } from './port.ts';

/** A super-frame of 65,535 bytes of IP with an Ethernet header and two VLAN tags. */
export const LONGEST_FRAME = 65_557;

/** What keeps a frame of `length` bytes from being carried, if anything does. */
export function frameFault(length: number): EngineDrop | undefined {
  if (length < ETHERNET_HEADER_BYTES) return 'frame-malformed';
  return length > LONGEST_FRAME ? 'frame-too-long' : undefined;
}
