import { access, constants, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../core/log.ts';
import { pack, unpack } from '../../core/msgpack.ts';
import type { StorePort } from '../../core/store.ts';
import { systemReason } from '../../core/system-error.ts';
import { makeDirectory } from '../../router/api/make-directory.ts';
import { messageOf } from '../host/host-error.ts';
import { CHAINED_PLUGINS, CONFLIST_NAME, conflistText } from './conflist.ts';
import { isSupported } from './spec-version.ts';
import type { SpecVersion } from './spec-version.ts';

/** Where `weave-ts cni install` put the plugin and wants the configuration. */
export interface InstallSettings {
  readonly binDir: string;
  readonly confDir: string;
  readonly cniVersion: SpecVersion;
}

const STORE_KEY = 'cni/installation';
const POLL_MS = 1_000;

/**
 * Writes the network configuration when the daemon can serve ADD, as its presence tells the runtime that the network
 * is ready. The directories are remembered: a restart writes the file again. It is never removed but by {@link remove}.
 */
export class Installation {
  readonly #store: StorePort;
  readonly #socket: string | undefined;
  readonly #isReady: () => Promise<boolean>;
  readonly #log: Log;
  #settings: InstallSettings | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failure: string | undefined;
  #closed = false;
  #starting: Promise<void> | undefined;

  /** `socket` is what the configuration must name; undefined if the plugin finds it by itself. */
  constructor(store: StorePort, socket: string | undefined, isReady: () => Promise<boolean>, log: Log) {
    this.#store = store;
    this.#socket = socket;
    this.#isReady = isReady;
    this.#log = log;
    this.#settings = decodeSettings(store.load().get(STORE_KEY));
  }

  /** From now on, and after every restart. Resolves when that is durable; the file may come later. */
  async set(settings: InstallSettings): Promise<void> {
    const value = pack([settings.binDir, settings.confDir, settings.cniVersion]);
    await this.#store.commit([{ key: STORE_KEY, value }]);
    this.#settings = settings;
    await this.start();
  }

  /** Writes the file now or as soon as the daemon is ready. Never rejects. */
  start(): Promise<void> {
    this.#starting = this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    clearTimeout(this.#timer);
    const settings = this.#settings;
    if (settings === undefined || this.#closed) return;
    try {
      const isReady = await this.#isReady();
      // It may have been closed meanwhile.
      if (isReady && !this.#closed) return await this.#write(settings);
    } catch (error) {
      const fields = { directory: settings.confDir, error: messageOf(error) };
      // It is tried each second: what is said already need not be said again.
      if (fields.error !== this.#failure)
        this.#log.log('warn', 'the CNI configuration could not be written', fields);
      this.#failure = fields.error;
    }
    if (!this.#closed) this.#timer = setTimeout(() => void this.start(), POLL_MS);
  }

  /** Nothing is written once it has resolved. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#starting;
  }

  /** For `stop --clean`: the file goes, so that the runtime asks nobody who is not there. */
  async remove(): Promise<void> {
    if (this.#settings === undefined) return;
    const path = join(this.#settings.confDir, CONFLIST_NAME);
    await rm(path, { force: true }).catch((error: unknown) => {
      const why = `the CNI configuration ${path} cannot be removed: ${systemReason(error)}`;
      throw new Error(`${why}; remove it by hand`, { cause: error });
    });
    await this.#store.commit([{ key: STORE_KEY, value: undefined }]);
    this.#settings = undefined;
  }

  async #write({ binDir, confDir, cniVersion }: InstallSettings): Promise<void> {
    const present = new Set<string>();
    for (const name of CHAINED_PLUGINS) if (await isExecutable(join(binDir, name))) present.add(name);
    makeDirectory(confDir);
    const path = join(confDir, CONFLIST_NAME);
    // Runtimes read only names that end in .conflist and the like.
    const unfinished = `${path}.unfinished`;
    await writeFile(unfinished, conflistText({ cniVersion, socket: this.#socket, present }), { mode: 0o644 });
    await rename(unfinished, path);
    this.#failure = undefined;
    this.#log.log('info', 'the CNI configuration is there', { path });
  }
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function decodeSettings(value: Uint8Array | undefined): InstallSettings | undefined {
  const fields = value === undefined ? undefined : unpack(value);
  if (!Array.isArray(fields) || !fields.every((field) => typeof field === 'string')) return undefined;
  const [binDir, confDir, cniVersion] = fields;
  if (binDir === undefined || confDir === undefined || cniVersion === undefined) return undefined;
  return isSupported(cniVersion) ? { binDir, confDir, cniVersion } : undefined;
}
