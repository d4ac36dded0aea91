import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { BadNamespace, NoNamespace } from './host-error.ts';
import type { KernelPort } from './kernel.ts';

/**
 * A network namespace held open, so that the one that was checked is the one that is worked on, even if its name or
 * pid is reused meanwhile.
 */
export interface Namespace {
  /**
   * "netns:" and its inode number in the kernel's nsfs: the same for every name, path and pid that leads to it, and
   * unique among the namespaces that are alive.
   */
  readonly id: string;
  /** Valid until {@link Namespace.close}, for the daemon and its children. */
  readonly path: string;
  /** The same as a descriptor of the daemon. */
  readonly fd: number;
  close(): Promise<void>;
}

/** Where iproute2 keeps named namespaces; the second is the older name of the first. */
const NAMED_NAMESPACES = ['/run/netns', '/var/run/netns'];

/**
 * Opens TARGET: a path (anything with a slash), a name known to `ip netns`, or a pid. A name of digits goes before
 * the pid. `host` = the path of the host's own namespace. Throws {@link BadNamespace} if there is none, if it is no
 * network namespace, or if it is the host's own.
 */
export async function openNamespace(target: string, kernel: KernelPort, host: string): Promise<Namespace> {
  const file = await openTarget(target);
  try {
    const { fd } = file;
    const path = `/proc/${process.pid}/fd/${fd}`;
    const number = kernel.namespaceNumber(path);
    if (number === undefined) throw new BadNamespace(`${target} is not a network namespace`);
    if (number === kernel.namespaceNumber(host)) {
      throw new BadNamespace(
        `${target} is the host's own network namespace: use expose to give the host an address`,
      );
    }
    return { id: `netns:${number}`, path, fd, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openTarget(target: string): Promise<FileHandle> {
  if (target === '' || target.includes('\0') || target === '.' || target === '..') {
    throw new BadNamespace(`"${target}" is neither a namespace path, nor a name, nor a pid`);
  }
  for (const path of candidatePaths(target)) {
    const file = await openIfThere(path, target);
    if (file !== undefined) return file;
  }
  const what = /^\d+$/.test(target) ? 'network namespace and no process' : 'network namespace';
  throw new NoNamespace(`there is no ${what} ${target}: give a path, a name from "ip netns list", or a pid`);
}

function candidatePaths(target: string): string[] {
  if (target.includes('/')) return [target];
  const named = NAMED_NAMESPACES.map((folder) => `${folder}/${target}`);
  return /^[1-9]\d{0,9}$/.test(target) ? [...named, `/proc/${target}/ns/net`] : named;
}

/** Without O_NONBLOCK a FIFO would hold the daemon up. */
async function openIfThere(path: string, target: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ESRCH') return undefined;
    throw new BadNamespace(`the network namespace ${target} cannot be opened (${code ?? String(error)})`);
  }
}
