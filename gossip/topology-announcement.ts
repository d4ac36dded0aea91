import { hexByteAt } from '../core/bytes.ts';
import { pack } from '../core/msgpack.ts';
import { PEER_NAME_BYTES, readPeerName, writePeerName, type PeerName } from '../core/peer-name.ts';
import { MalformedDelta } from './channel.ts';
import { blob, decoded, list, tuple, uint } from './checked-fields.ts';
import { BODY_HASH_BYTES } from './topology-codec.ts';
import { MAX_INCARNATION, MAX_VERSION, type EntryStamp } from './topology-entry.ts';

/*
 * What is told of entries in place of the entries, some 11 bytes each, and what is asked for of it:
 *
 *   announcement = [ names: 6 bytes each, ascending, [ incarnation, version, ... ], place, one byte of each uid: the one at `place` ]
 *   request      = for each: name 6 | hash of the body that is known of that peer 4, zeros = none
 *
 * Uids only tell two processes under one name apart, so one byte has to do; the place changes, so that two which are
 * alike there are told apart another time.
 */

/** In one announcement or request. */
const MAX_NAMES = 16_384;
const UID_BYTES = 8;
/** Of a request. */
const ROW_BYTES = PEER_NAME_BYTES + BODY_HASH_BYTES;

/** That its sender has this entry. */
export interface AnnouncedEntry extends Pick<EntryStamp, 'incarnation' | 'version'> {
  readonly name: PeerName;
  readonly place: number;
  readonly uidByte: number;
}

/** Whether it may be the entry of the run with this uid. */
export function mayBeOf({ place, uidByte }: AnnouncedEntry, uid: string): boolean {
  return hexByteAt(uid, 2 * place) === uidByte;
}

/** `place` is taken modulo the bytes of a uid. */
export function encodeAnnouncement(
  entries: readonly (EntryStamp & { readonly name: PeerName })[],
  place: number,
): Uint8Array {
  const at = place % UID_BYTES;
  return pack([
    encodeNames(entries.map(({ name }) => name)),
    entries.flatMap(({ incarnation, version }) => [incarnation, version]),
    at,
    Uint8Array.from(entries, ({ uid }) => hexByteAt(uid, 2 * at)),
  ]);
}

/** Throws {@link MalformedDelta} unless all of it has the right shape. */
export function decodeAnnouncement(bytes: Uint8Array): readonly AnnouncedEntry[] {
  const [nameBytes, numbers, place, uids] = tuple(decoded(bytes), 4, 'announcement');
  const names = decodeNames(blob(nameBytes, 0, MAX_NAMES * PEER_NAME_BYTES, 'announced names'));
  const stamps = list(numbers, 2 * names.length, 'announced stamps');
  const at = uint(place, UID_BYTES - 1, 'place in the uid');
  const uidBytes = blob(uids, names.length, names.length, 'announced uids');
  return names.map((name, i) => ({
    name,
    incarnation: uint(stamps[2 * i], MAX_INCARNATION, 'incarnation'),
    version: uint(stamps[2 * i + 1], MAX_VERSION, 'version'),
    place: at,
    uidByte: uidBytes[i]!,
  }));
}

/** An entry that is asked for. */
export interface RequestedEntry {
  readonly name: PeerName;
  /** The body that the asking peer has of an earlier one; undefined if none. */
  readonly bodyHash: Uint8Array | undefined;
}

export function encodeRequest(entries: readonly RequestedEntry[]): Uint8Array {
  const out = new Uint8Array(entries.length * ROW_BYTES);
  entries.forEach(({ name, bodyHash }, i) => {
    writePeerName(name, out, i * ROW_BYTES);
    if (bodyHash !== undefined) out.set(bodyHash, i * ROW_BYTES + PEER_NAME_BYTES);
  });
  return out;
}

/** The inverse of {@link encodeRequest}. Throws {@link MalformedDelta}. */
export function decodeRequest(bytes: Uint8Array): RequestedEntry[] {
  const count = bytes.length / ROW_BYTES;
  if (!Number.isInteger(count) || count > MAX_NAMES) throw new MalformedDelta('request');
  return Array.from({ length: count }, (_, i) => {
    const hash = bytes.subarray(i * ROW_BYTES + PEER_NAME_BYTES, (i + 1) * ROW_BYTES);
    const bodyHash = hash.some((byte) => byte !== 0) ? hash : undefined;
    return { name: readPeerName(bytes, i * ROW_BYTES), bodyHash };
  });
}

function encodeNames(names: readonly PeerName[]): Uint8Array {
  const out = new Uint8Array(names.length * PEER_NAME_BYTES);
  names.forEach((name, i) => writePeerName(name, out, i * PEER_NAME_BYTES));
  return out;
}

/** They ascend, so that none comes twice. */
function decodeNames(bytes: Uint8Array): PeerName[] {
  const count = bytes.length / PEER_NAME_BYTES;
  if (!Number.isInteger(count)) throw new MalformedDelta('announced names');
  const names = Array.from({ length: count }, (_, i) => readPeerName(bytes, i * PEER_NAME_BYTES));
  if (names.some((name, i) => i > 0 && names[i - 1]! >= name)) throw new MalformedDelta('announced names');
  return names;
}
