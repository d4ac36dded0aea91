import { existsSync, lstatSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { silentLog } from '../core/log.ts';
import type { StorePort } from '../core/store.ts';
import { STORE_FILE } from '../ipam/lmdb-store.ts';
import { Installation } from '../plugin/cni/installation.ts';
import { recordBridges, recordedBridges } from '../plugin/host/bridge-record.ts';
import { tapName } from '../plugin/host/bridge.ts';
import { cleanHost } from '../plugin/host/clean.ts';
import { HostCommands } from '../plugin/host/commands.ts';
import { Kernel } from '../plugin/host/kernel.ts';
import { checkHost } from '../plugin/host/preflight.ts';
import { NoDaemon } from '../router/api/client.ts';
import { filesBeside } from './daemon-files.ts';
import { BadValue } from './exit.ts';
import { claimNamespace } from './namespace-claim.ts';
import { openState } from './state-dir.ts';

/**
 * For `stop --clean` where no daemon answers: removes what the last one of this state directory left on the host, as it
 * would have done itself. Resolves to a sentence. Refuses with a sentence while a daemon has the directory or the network
 * namespace; throws {@link NoDaemon} if there never was one.
 */
export async function cleanUp(stateDir: string, socket: string): Promise<string> {
  if (!existsSync(join(stateDir, STORE_FILE))) {
    throw new NoDaemon(
      `no daemon answers on ${socket}, and none has left its state in ${stateDir}: name its --socket or its --state-dir`,
    );
  }
  await checkHost();
  const state = await openState(stateDir, 0);
  try {
    const claim = await claimNamespace();
    try {
      return await cleanAll(state.store, stateDir, socket);
    } finally {
      claim.close();
    }
  } finally {
    await state.close();
  }
}

async function cleanAll(store: StorePort, stateDir: string, socket: string): Promise<string> {
  const bridges = recordedBridges(store.load());
  if (bridges === undefined) {
    throw new BadValue(
      `the state in ${stateDir} does not tell what its daemon set up: launch it, and stop --clean while it runs`,
    );
  }
  await new Installation(store, undefined, () => Promise.resolve(false), silentLog).remove();
  const names = bridges.map((bridge) => ({ bridge, tap: tapName(bridge) }));
  if (names.length > 0) await cleanHost(new HostCommands(), new Kernel(), names);
  await store.commit([recordBridges([])]);
  rmSync(filesBeside(socket).pid, { force: true });
  if (lstatSync(socket, { throwIfNoEntry: false })?.isSocket() === true) rmSync(socket);
  if (names.length === 0) return 'no daemon was running, and the last one left nothing to remove';
  return `no daemon was running: removed what the last one left (${bridges.join(', ')}, what was attached, rules)`;
}
