import { createHash } from 'node:crypto';
import { fromHex } from '../../core/bytes.ts';
import { compareNames, PEER_NAME_BYTES, readPeerName, writePeerName } from '../../core/peer-name.ts';
import type { PeerName } from '../../core/peer-name.ts';

/** A MAC as six lower-case pairs with colons, the form that iproute2 prints. */
export type MacText = string;

/** The bridge's own MAC: the peer's name, made unicast and locally administered, so that it outlives restarts. */
export function bridgeMac(peer: PeerName): MacText {
  const bytes = new Uint8Array(PEER_NAME_BYTES);
  writePeerName(peer, bytes, 0);
  return localUnicast(bytes);
}

/** A stable MAC for the container end of an attachment; the peer's name keeps two hosts apart. */
export function attachmentMac(peer: PeerName, id: string, interfaceName: string): MacText {
  const digest = createHash('sha256').update(`weave-ts mac|${peer}|${id}|${interfaceName}`).digest();
  return localUnicast(Uint8Array.from(digest.subarray(0, 6)));
}

/** Name of the host end, at most 15 characters as the kernel demands. */
export function hostInterfaceName(id: string): string {
  const digest = createHash('sha256').update(`weave-ts port|${id}`).digest('hex');
  return `${HOST_INTERFACE_PREFIX}${digest.slice(0, 9)}`;
}

/** Is it well-formed? */
export function isMac(text: string): text is MacText {
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(text);
}

/** The six bytes of a well-formed one. */
export function macBytes(mac: MacText): Uint8Array {
  return fromHex(mac.replaceAll(':', ''))!;
}

/** Is it of the shape of {@link hostInterfaceName}? Other meshes have names that only begin so. */
export function isHostInterfaceName(name: string): boolean {
  return (
    name.startsWith(HOST_INTERFACE_PREFIX) && /^[0-9a-f]{9}$/.test(name.slice(HOST_INTERFACE_PREFIX.length))
  );
}

/** Begins the name of every host end; the port rules match on it. */
export const HOST_INTERFACE_PREFIX = 'vethwe';

/** Six bytes per MAC, ascending, each once: the shape of the data plane's list. Malformed ones are left out. */
export function concatMacs(macs: Iterable<MacText>): Uint8Array {
  const sorted = [...new Set(macs)].sort(compareNames);
  const bytes = sorted.map((mac) => fromHex(mac.replaceAll(':', ''))).filter((mac) => mac?.length === 6);
  const out = new Uint8Array(6 * bytes.length);
  for (const [i, mac] of bytes.entries()) out.set(mac!, 6 * i);
  return out;
}

function localUnicast(bytes: Uint8Array): MacText {
  bytes[0] = (bytes[0]! & 0xfe) | 0x02;
  return readPeerName(bytes, 0);
}
