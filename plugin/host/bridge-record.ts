import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pack, unpack } from '../../core/msgpack.ts';
import type { StoreChange } from '../../core/store.ts';
import { isInterfaceName, tapName } from './bridge.ts';
import type { OwnBridge } from './bridge.ts';
import { isMac } from './mac-address.ts';

/** Where a daemon set things up: interfaces belong to one network namespace and end with the kernel that runs. */
export interface Place {
  /** Device and inode number of the network namespace. */
  readonly namespace: string;
  /** The kernel draws it anew at each boot (random(4)). */
  readonly boot: string;
  /** Path of the daemon's API socket. */
  readonly socket: string;
}

/** What the daemons of a state directory have set up and not removed since. */
export interface BridgeRecord {
  readonly bridges: readonly OwnBridge[];
  readonly place: Place;
}

/**
 * The durable memory of it, so that no bridge stays behind when its name changes, or when nobody runs any more who could be
 * asked to remove it. A name alone would not tell ours from a bridge that somebody else has under it: the MAC does.
 */
const KEY = 'host/bridges';

/** The place of this process, with the API socket `socket`. */
export function placeHere(socket: string): Place {
  const { dev, ino } = statSync('/proc/self/ns/net', { bigint: true });
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return { namespace: `${dev}:${ino}`, boot, socket: resolve(socket) };
}

/** Undefined if nothing was ever recorded, or nothing readable. */
export function recordedBridges(stored: ReadonlyMap<string, Uint8Array>): BridgeRecord | undefined {
  const bytes = stored.get(KEY);
  const fields = bytes === undefined ? undefined : unpack(bytes);
  if (!Array.isArray(fields)) return undefined;
  const [bridges, namespace, boot, socket] = fields as unknown[];
  if (!Array.isArray(bridges)) return undefined;
  if (typeof namespace !== 'string' || typeof boot !== 'string' || typeof socket !== 'string')
    return undefined;
  return { bridges: bridges.flatMap(readBridge), place: { namespace, boot, socket } };
}

export function recordBridges({ bridges, place }: BridgeRecord): StoreChange {
  const named = bridges.map(({ bridge, mac }) => [bridge, mac]);
  return { key: KEY, value: pack([named, place.namespace, place.boot, place.socket]) };
}

/** The recorded bridges that can still be there for a process at `here`. */
export function bridgesHere(record: BridgeRecord | undefined, here: Place): readonly OwnBridge[] {
  const isHere = record?.place.boot === here.boot && record.place.namespace === here.namespace;
  return isHere ? record.bridges : [];
}

function readBridge(entry: unknown): OwnBridge[] {
  const [bridge, mac] = Array.isArray(entry) ? (entry as unknown[]) : [];
  if (typeof bridge !== 'string' || !isInterfaceName(bridge)) return [];
  return typeof mac === 'string' && isMac(mac) ? [{ bridge, tap: tapName(bridge), mac }] : [];
}
