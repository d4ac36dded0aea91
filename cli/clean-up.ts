import { existsSync, lstatSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { silentLog } from '../core/log.ts';
import type { StorePort } from '../core/store.ts';
import { STORE_FILE } from '../ipam/lmdb-store.ts';
import { Installation } from '../plugin/cni/installation.ts';
import { bridgesHere, placeHere, recordBridges, recordedBridges } from '../plugin/host/bridge-record.ts';
import type { BridgeRecord, Place } from '../plugin/host/bridge-record.ts';
import { allOf, checkOwnership, cleanHost } from '../plugin/host/clean.ts';
import { HostCommands } from '../plugin/host/commands.ts';
import { Kernel } from '../plugin/host/kernel.ts';
import { checkRemover } from '../plugin/host/preflight.ts';
import { answers, NoDaemon } from '../router/api/client.ts';
import { filesBeside } from './daemon-files.ts';
import { BadValue } from './exit.ts';
import { claimNamespace } from './namespace-claim.ts';
import { openState } from './state-dir.ts';

/**
 * For `stop --clean` where nobody has the socket open: removes what the last daemon of this state directory left on the
 * host, as it would have done itself. Resolves to a sentence. Refuses with a sentence, and changes nothing, while a daemon
 * has the directory, the socket or the network namespace, and where what is here need not be what that daemon made; throws
 * {@link NoDaemon} if there never was one.
 */
export async function cleanUp(stateDir: string, socket: string): Promise<string> {
  await checkRemover();
  if (!existsSync(join(stateDir, STORE_FILE))) {
    throw new NoDaemon(
      `no daemon answers on ${socket}, and none has left its state in ${stateDir}: name its --socket or its --state-dir`,
    );
  }
  const state = await openState(stateDir, 0);
  try {
    return await cleanPlace(state.store, stateDir, placeHere(socket));
  } finally {
    await state.close();
  }
}

async function cleanPlace(store: StorePort, stateDir: string, here: Place): Promise<string> {
  const record = recordedBridges(store.load());
  if (record === undefined) {
    throw new BadValue(
      `the state in ${stateDir} does not tell what its daemon set up: launch it, and stop --clean while it runs`,
    );
  }
  await refuseElsewhere(record, stateDir, here);
  const claim = await claimNamespace();
  try {
    return await cleanAll(store, record, here);
  } finally {
    claim.close();
  }
}

async function cleanAll(store: StorePort, record: BridgeRecord, here: Place): Promise<string> {
  const bridges = bridgesHere(record, here);
  await checkOwnership(new HostCommands(), bridges);
  const installation = new Installation(store, undefined, () => Promise.resolve(false), silentLog);
  await allOf([() => cleanBridges(store, record, here), () => installation.remove()]);
  rmSync(filesBeside(here.socket).pid, { force: true });
  if (lstatSync(here.socket, { throwIfNoEntry: false })?.isSocket() === true) rmSync(here.socket);
  if (bridges.length === 0) return 'no daemon was running, and the last one left nothing to remove';
  const names = bridges.map(({ bridge }) => bridge).join(', ');
  return `no daemon was running: removed what the last one left (${names}, what was attached, rules)`;
}

async function cleanBridges(store: StorePort, record: BridgeRecord, here: Place): Promise<void> {
  const bridges = bridgesHere(record, here);
  if (bridges.length > 0) await cleanHost(new HostCommands(), new Kernel(), bridges);
  await store.commit([recordBridges({ bridges: [], place: record.place })]);
}

/** Names are the same in every network namespace, and the socket may be that of another daemon. */
async function refuseElsewhere({ place }: BridgeRecord, stateDir: string, here: Place): Promise<void> {
  if (place.socket !== here.socket) {
    throw new BadValue(
      `the last daemon of ${stateDir} had the socket ${place.socket}, not ${here.socket}: name both as they were at its launch`,
    );
  }
  if (await answers(here.socket)) {
    throw new BadValue(`a daemon has the socket ${here.socket} again: stop --clean once more`);
  }
  // What another boot had is gone with it.
  if (place.boot === here.boot && place.namespace !== here.namespace) {
    throw new BadValue(
      `the last daemon of ${stateDir} ran in another network namespace: run stop --clean there ` +
        '(ip netns exec NAME weave-ts ...); if that namespace is gone, so is what it had',
    );
  }
}
