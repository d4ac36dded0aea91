import { pack, unpack } from '../../core/msgpack.ts';
import type { StoreChange } from '../../core/store.ts';
import { isInterfaceName } from './bridge.ts';

/**
 * The durable memory of which bridges daemons of this state directory have set up and not removed since, so that none stays
 * behind when its name changes, or when nobody runs any more who could be asked to remove it.
 */
const KEY = 'host/bridges';

/** Undefined if nothing was ever recorded, or nothing readable. */
export function recordedBridges(stored: ReadonlyMap<string, Uint8Array>): readonly string[] | undefined {
  const bytes = stored.get(KEY);
  const names = bytes === undefined ? undefined : unpack(bytes);
  if (!Array.isArray(names)) return undefined;
  return names.filter((name) => typeof name === 'string' && isInterfaceName(name)) as string[];
}

export function recordBridges(names: readonly string[]): StoreChange {
  return { key: KEY, value: pack([...names]) };
}
