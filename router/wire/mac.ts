import type { PeerName } from '../../core/peer-name.ts';

/** A MAC address, or a peer's name on the wire, as an integer below 2^48: a cheap key that a double holds exactly. */
export type Mac = number;

export const MAC_BYTES = 6;

export const BROADCAST_MAC: Mac = 0xffffffffffff;

/** Reads six bytes; the caller has checked the length. */
export function readMac(bytes: Uint8Array, at: number): Mac {
  const high = (bytes[at]! << 8) | bytes[at + 1]!;
  const low = (bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!;
  return high * 2 ** 32 + (low >>> 0);
}

export function writeMac(mac: Mac, out: Uint8Array, at: number): void {
  const high = Math.floor(mac / 2 ** 32);
  out[at] = high >>> 8;
  out[at + 1] = high;
  out[at + 2] = mac >>> 24;
  out[at + 3] = mac >>> 16;
  out[at + 4] = mac >>> 8;
  out[at + 5] = mac;
}

/** The group bit: broadcast and multicast have it, a sender never does. */
export function isGroup(mac: Mac): boolean {
  return (Math.floor(mac / 2 ** 40) & 1) === 1;
}

/** 01:80:C2:00:00:00 to 0F: what IEEE 802.1D says a bridge never forwards. */
export function isReserved(mac: Mac): boolean {
  return mac >= 0x0180c2000000 && mac <= 0x0180c200000f;
}

export function macOfName(name: PeerName): Mac {
  return Number.parseInt(name.replaceAll(':', ''), 16);
}

export function formatMac(mac: Mac): string {
  const digits = mac.toString(16).padStart(12, '0');
  return digits.replace(/(..)(?=.)/g, '$1:');
}
