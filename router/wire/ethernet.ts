import { readMac, type Mac } from './mac.ts';

/**
 * Ethernet II (big-endian), with at most two VLAN tags between the source and the type:
 *
 *      0             6             12              16              20
 *     +-------------+-------------+---------------+---------------+--------+------------+
 *     | destination | source      | 8100|88A8, TCI| 8100|88A8, TCI| type   | payload .. |
 *     +-------------+-------------+---------------+---------------+--------+------------+
 */
export const ETHERNET_HEADER_BYTES = 14;
export const VLAN_TAG_BYTES = 4;
const MOST_TAGS = 2;

export const TYPE_IPV4 = 0x0800;
export const TYPE_IPV6 = 0x86dd;
const TYPE_VLAN = 0x8100;
const TYPE_SERVICE_VLAN = 0x88a8;

/** The accessors below are safe on a frame of so many bytes. */
export function isFrame(length: number): boolean {
  return length >= ETHERNET_HEADER_BYTES;
}

export function frameDestination(data: Uint8Array, at: number): Mac {
  return readMac(data, at);
}

/** Bytes before the payload: 14, 18 or 22. Tags that the frame is too short for are taken as payload. */
export function frameHeaderBytes(data: Uint8Array, at: number, length: number): number {
  let header = ETHERNET_HEADER_BYTES;
  for (let tags = 0; tags < MOST_TAGS && header + VLAN_TAG_BYTES <= length; tags++) {
    if (!isTagType(typeAt(data, at + header))) break;
    header += VLAN_TAG_BYTES;
  }
  return header;
}

/** The type of the payload, after the tags; `header` from {@link frameHeaderBytes}. */
export function payloadType(data: Uint8Array, at: number, header: number): number {
  return typeAt(data, at + header);
}

/** The type that ends a header of which the first byte after is `end`. */
function typeAt(data: Uint8Array, end: number): number {
  return (data[end - 2]! << 8) | data[end - 1]!;
}

function isTagType(type: number): boolean {
  return type === TYPE_VLAN || type === TYPE_SERVICE_VLAN;
}
