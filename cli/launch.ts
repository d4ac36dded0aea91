import { randomFillSync } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { checkSocketPath, createApi, listenOnSocket, type ApiServer } from '../router/api/server.ts';
import { formatIp, type Cidr, type Endpoint, type IpAddress } from '../core/address.ts';
import { secretRoom } from '../core/bytes.ts';
import type { Log } from '../core/log.ts';
import type { RandomSource } from '../core/random.ts';
import { damagedStore } from '../ipam/lmdb-store.ts';
import { DamagedState } from '../ipam/stored-state.ts';
import type { StorePort } from '../core/store.ts';
import { Attachments } from '../plugin/host/attachments.ts';
import { bridgesHere, placeHere, recordBridges, recordedBridges } from '../plugin/host/bridge-record.ts';
import type { OwnBridge } from '../plugin/host/bridge.ts';
import { allOf } from '../plugin/host/clean.ts';
import { messageOf } from '../plugin/host/host-error.ts';
import type { HostNetwork } from '../plugin/host/host-network.ts';
import type { RotateResult } from '../router/api/daemon.ts';
import { ControlNode } from '../router/control-node.ts';
import type { Rotation } from '../router/control-node.ts';
import { wipeIdentity } from '../router/identity.ts';
import { loadAddon } from '../router/engine/addon.ts';
import { loadSodium } from '../router/crypto/sodium.ts';
import { ControlLoop } from '../router/loop/control-loop.ts';
import { AddressWatch, type AddressChange } from '../router/loop/address-watch.ts';
import { startDataPlane, type DataPlane } from '../router/loop/data-plane.ts';
import { monotonicNow } from '../router/loop/deadline-timer.ts';
import { CniService } from './cni-service.ts';
import { optimizeLater } from './compiler-pace.ts';
import { NodeAddresses, Requests, RunningDaemon } from './daemon.ts';
import { filesBeside } from './daemon-files.ts';
import { Ending } from './ending.ts';
import { BadValue } from './exit.ts';
import { HangUps } from './hang-ups.ts';
import { planHost, type HostPlan } from './host-plan.ts';
import { laneWarning } from './lane-kernels.ts';
import { claimNamespace } from './namespace-claim.ts';
import { createLog } from './pino-log.ts';
import { prepareNode, type PreparedNode } from './prepare-node.ts';
import { rotatePasswords } from './rotation.ts';
import { RotatingLog } from './rotating-log.ts';
import type { LaunchSettings } from './settings.ts';
import { openState } from './state-dir.ts';
import { TapLosses } from './tap-losses.ts';
import { VERSION } from './version.ts';

/** What is left of SIGTERM's five seconds when the parts do not end by themselves. */
const STOP_LIMIT_MS = 4_500;
/** The kernel takes some 10 ms for each interface that is removed, and there may be hundreds. */
const CLEAN_LIMIT_MS = 60_000;

/** Who is to hear of the start. */
export interface DaemonStarter {
  readonly foreground: boolean;
  /** Told the daemon's name once its API answers. If it throws, the start is undone. */
  onReady?(name: string): void;
}

const random: RandomSource = { bytes: (length) => randomFillSync(secretRoom(length)) };

/**
 * Starts the daemon in this process and resolves once its API answers; the process then lives until `stop` or a signal.
 * Rejects with one sentence if it cannot start, and undoes what it had begun.
 */
export async function runDaemon(
  settings: LaunchSettings,
  passwords: readonly string[],
  starter: DaemonStarter,
): Promise<void> {
  const hangUps = new HangUps(process);
  optimizeLater();
  await checkSocketPath(settings.socket);
  const files = filesBeside(settings.socket);
  const log = createLog(settings.logLevel, starter.foreground ? process.stdout : new RotatingLog(files.log));
  const undo: (() => unknown)[] = [];
  try {
    const state = await openState(settings.stateDir);
    undo.push(() => state.close());
    const primitives = await loadSodium();
    const prepared = prepareNode(settings, passwords, state.store, { primitives, random });
    const recorded = bridgesHere(recordedBridges(prepared.deps.stored), placeHere(settings.socket));
    const host = await planHost(settings, prepared.identity.name, prepared.ipam, recorded);
    const namespace = await claimNamespace();
    undo.push(() => namespace.close());
    if (host.isFresh) undo.push(() => host.network.clean());
    else if (!host.hasBridge) undo.push(() => host.network.giveBack(host.former));
    if (!host.isFresh && !host.hasTap) undo.push(() => loadAddon().tapDelete(host.network.settings.tap));
    const daemon = new DaemonProcess(settings, prepared, host, state.store, log);
    undo.push(() => daemon.close());
    await daemon.start(hangUps);
    const removePid = () => rmSync(files.pid, { force: true });
    undo.push(removePid);
    writeFileSync(files.pid, `${process.pid}\n`, { mode: 0o600 });
    daemon.onEnd = () => state.close().then(removePid);
    starter.onReady?.(prepared.identity.name);
  } catch (error) {
    if (!starter.foreground) log.log('error', 'the daemon did not start', { error: messageOf(error) });
    await undoAll(undo, log);
    throw error;
  }
}

/** Resolves when `work` has ended either way, or after so many milliseconds. */
async function settledOrLate(work: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, limitMs)));
  await Promise.race([Promise.allSettled([work]), late]);
  clearTimeout(timer);
}

/** The last step first; one that fails is logged and keeps none from being done. */
async function undoAll(steps: (() => unknown)[], log: Log): Promise<void> {
  for (const step of steps.reverse()) {
    await Promise.resolve()
      .then(step)
      .catch((error: unknown) => log.log('warn', 'a start could not be undone', { error: messageOf(error) }));
  }
}

/** The parts of a daemon, joined: node, loops, host and API. */
class DaemonProcess {
  /** What remains to be ended after everything here has. */
  onEnd: () => Promise<void> = () => Promise.resolve();
  readonly #settings: LaunchSettings;
  readonly #prepared: PreparedNode;
  readonly #host: HostPlan;
  readonly #store: StorePort;
  readonly #log: Log;
  readonly #requests = new Requests();
  readonly #began = monotonicNow();
  #addressWatch: AddressWatch | undefined;
  #data: DataPlane | undefined;
  #loop: ControlLoop | undefined;
  #attachments: Attachments | undefined;
  #cni: CniService | undefined;
  #api: ApiServer | undefined;
  /** Settles once what was attached in a former run is taken up. */
  #readopted: Promise<void> | undefined;
  readonly #ending = new Ending();
  /** Ends the start that is under way with a failure. */
  #failStart: ((error: Error) => void) | undefined;

  constructor(settings: LaunchSettings, prepared: PreparedNode, host: HostPlan, store: StorePort, log: Log) {
    this.#settings = settings;
    this.#prepared = prepared;
    this.#host = host;
    this.#store = store;
    this.#log = log;
  }

  /** Rejects with what broke meanwhile, once nothing of the start is under way that would make anew what is undone. */
  async start(hangUps: HangUps): Promise<void> {
    const failed = new Promise<never>((_resolve, reject) => (this.#failStart = reject));
    const starting = this.#start(hangUps);
    try {
      await Promise.race([starting, failed]);
    } catch (error) {
      await settledOrLate(starting, STOP_LIMIT_MS);
      throw error;
    } finally {
      this.#failStart = undefined;
    }
  }

  async #start(hangUps: HangUps): Promise<void> {
    const { network, former } = this.#host;
    const data = await this.#startData();
    const node = this.#makeNode();
    const loop = new ControlLoop(node, this.#store, data, this.#log, {
      onAnswer: (answer) => this.#requests.onAnswer(answer),
      onFailure: (error) => this.#fail(error),
    });
    this.#loop = loop;
    await this.#store.commit(this.#prepared.changes);
    wipeIdentity(this.#prepared.changes);
    await loop.start(this.#prepared.listen, this.#settings.port);
    const addresses = new NodeAddresses(node, loop, this.#requests);
    const attachments = this.#makeAttachments(network, addresses, data);
    const restored = attachments.restored();
    await this.#recordBridges(network.settings, ...former);
    await network.setUp(restored);
    await network.adoptTap();
    await network.untilDone(() => this.#replaceFormer(restored.addresses));
    for (const problem of network.problems()) this.#log.log('warn', problem);
    const tapLosses = new TapLosses(network.settings.tap);
    const daemon = new RunningDaemon(node, loop, this.#requests, addresses, attachments, {
      version: VERSION,
      engine: data.opened,
      uptimeSeconds: () => Math.floor((monotonicNow() - this.#began) / 1_000),
      problems: () => network.problems(),
      tapLosses: () => tapLosses.drops(),
      stopped: () => network.stopped(),
      rotate: () => this.#rotate(node, loop),
      stop: (clean) => this.#stop(clean),
      cni: (body, signal) => cni.call(body, signal),
      cniInstall: (wanted) => cni.install(wanted),
    });
    const cni = this.#makeCni(network, addresses, attachments, daemon);
    this.#api = createApi(daemon, this.#log);
    await listenOnSocket(this.#api, this.#settings.socket);
    this.#obeySignals(hangUps, () => this.#rotate(node, loop));
    this.#connect(node, loop);
    this.#readopted = attachments
      .readopt()
      .catch((error: unknown) => this.#report('attachments not taken up', error))
      .then(() => cni.start());
    attachments.start();
    const warning = laneWarning(this.#settings.workers, release());
    if (warning !== undefined) this.#log.log('warn', warning);
    this.#log.log('info', 'ready', { name: this.#prepared.identity.name, engine: data.opened });
  }

  #connect(node: ControlNode, loop: ControlLoop): void {
    const { targets, leftOut } = this.#prepared;
    if (leftOut > 0)
      this.#log.log('warn', 'targets of the last run are left out, as there are too many', { leftOut });
    let refusal: string | undefined;
    loop.tell((now) => (refusal = node.connect(targets, true, now)));
    if (refusal !== undefined) throw new BadValue(refusal);
  }

  /** Ends all parts that run, in the order in which they depend on one another. */
  async close(): Promise<void> {
    await this.#closeParts();
    await this.#api?.close();
  }

  async #closeParts(): Promise<void> {
    this.#addressWatch?.close();
    // They would put back what is removed meanwhile.
    await Promise.all([this.#attachments?.close(), this.#cni?.close(), this.#readopted]);
    await this.#loop?.stop();
    await this.#data?.close();
  }

  async #startData(): Promise<DataPlane> {
    const { identity, listen, trustedSubnets } = this.#prepared;
    const data = await startDataPlane(
      {
        name: identity.name,
        engine: this.#settings.engine,
        workers: this.#settings.workers,
        tap: this.#host.network.settings.tap,
        address: listen,
        port: this.#settings.port,
        bridgeMtu: this.#host.network.settings.mtu,
        trustedSubnets,
      },
      {
        onMessages: (messages) => this.#loop?.onDataMessages(messages),
        onFailure: (error) => this.#fail(error),
      },
    );
    this.#data = data;
    return data;
  }

  /** Before a bridge is made and after it is removed, so that what is there is always recorded. */
  async #recordBridges(...bridges: readonly OwnBridge[]): Promise<void> {
    await this.#store.commit([recordBridges({ bridges, place: placeHere(this.#settings.socket) })]);
  }

  /** What cannot be removed stays recorded for the next start. */
  async #replaceFormer(addresses: readonly Cidr[]): Promise<void> {
    const { network, former } = this.#host;
    for (const names of former) {
      const replaced = await network.replace(names, addresses);
      if (replaced === undefined) continue;
      const { bridge } = network.settings;
      const what = replaced.kept
        ? 'the bridge of the run before has ports of others and stays: remove it if nobody needs it'
        : 'the bridge of the run before is removed';
      this.#log.log(replaced.kept ? 'warn' : 'info', what, {
        former: names.bridge,
        bridge,
        moved: replaced.moved,
      });
    }
    if (former.length > 0) await this.#recordBridges(network.settings);
  }

  #makeNode(): ControlNode {
    const { config, deps } = this.#prepared;
    const { mtu: bridgeMtu } = this.#host.network.settings;
    const bridges = this.#host.meshBridges;
    const watch = new AddressWatch({
      bridges,
      onChange: (change) => this.#onAddresses(change),
      carries: (ip) => this.#loop?.carries(ip) ?? true,
    });
    this.#addressWatch = watch;
    const addresses = this.#endpoints(watch.addresses);
    try {
      return new ControlNode({ ...config, bridgeMtu, addresses }, deps, monotonicNow());
    } catch (error) {
      if (!(error instanceof DamagedState)) throw error;
      throw new BadValue(damagedStore(this.#settings.stateDir, error.message));
    }
  }

  #onAddresses(change: AddressChange): void {
    const { addresses, gone } = change;
    const fields = { addresses: addresses.map(formatIp).join(' '), gone: gone.map(formatIp).join(' ') };
    this.#log.log('info', 'the addresses of this host changed', fields);
    this.#loop?.onAddresses(this.#endpoints(addresses), change);
  }

  /** Where others may reach us; only at `--host` where it is given. */
  #endpoints(addresses: readonly IpAddress[]): Endpoint[] {
    const { listen } = this.#prepared;
    return (listen === undefined ? addresses : [listen]).map((ip) => ({ ip, port: this.#settings.port }));
  }

  #makeAttachments(network: HostNetwork, addresses: NodeAddresses, data: DataPlane): Attachments {
    const { bridge, mac, mtu } = network.settings;
    this.#attachments = new Attachments({
      bridge,
      mac,
      mtu,
      defaultSubnet: this.#prepared.ipam.defaultSubnet,
      peer: this.#prepared.identity.name,
      host: network,
      addresses,
      store: this.#store,
      log: this.#log,
      now: monotonicNow,
      onLocalMacs: (macs) => data.tell({ type: 'local-macs', macs }),
    });
    return this.#attachments;
  }

  #makeCni(
    network: HostNetwork,
    addresses: NodeAddresses,
    attachments: Attachments,
    daemon: RunningDaemon,
  ): CniService {
    this.#cni = new CniService({
      attachments,
      network,
      addresses,
      ipam: this.#prepared.ipam,
      store: this.#store,
      socket: this.#settings.socket,
      log: this.#log,
      ipamStatus: () => daemon.ipamStatus(),
    });
    return this.#cni;
  }

  #rotate(node: ControlNode, loop: ControlLoop): RotateResult {
    const encrypted = this.#prepared.config.passwords.length > 0;
    return rotatePasswords(this.#settings.passwordFile, encrypted, (passwords) => {
      let outcome: Rotation | string = '';
      loop.tell((now) => (outcome = node.onPasswords(passwords, now)));
      return outcome;
    });
  }

  #obeySignals(hangUps: HangUps, rotate: () => RotateResult): void {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.on(signal, () => void this.#end(false, 0, signal));
    hangUps.obey(() => {
      try {
        for (const note of rotate().notes) this.#log.log('warn', note);
      } catch (error) {
        this.#report('passwords not read again', error);
      }
    });
    const fail = (error: unknown) => this.#fail(error instanceof Error ? error : new Error(String(error)));
    // Of the second kind, too: others are to hear that this host is gone.
    process.on('unhandledRejection', fail).on('uncaughtException', fail);
  }

  /** While the daemon starts, whoever starts it undoes what was begun. */
  #fail(error: Error): void {
    if (this.#failStart !== undefined) return this.#failStart(error);
    this.#report('the daemon cannot go on', error);
    void this.#end(false, 1, 'failure');
  }

  #report(what: string, error: unknown): void {
    this.#log.log('error', what, { error: messageOf(error) });
  }

  /** Whoever wants the host clean waits until it is, and hears what could not be removed. */
  async #stop(clean: boolean): Promise<void> {
    if (clean) this.#ending.refuseClean();
    const ended = this.#end(clean, 0, clean ? 'stop --clean' : 'stop');
    const problem = clean ? await ended : undefined;
    if (problem !== undefined) {
      const what = `the daemon stops, but not all that it made could be removed (${problem})`;
      throw new BadValue(`${what}: stop --clean again`);
    }
  }

  /** Ends the process. Resolves shortly before, when nothing but the API is left, with what went wrong. */
  #end(clean: boolean, code: number, why: string): Promise<string | undefined> {
    return this.#ending.begin(clean, () => this.#endNow(clean, code, why));
  }

  async #endNow(clean: boolean, code: number, why: string): Promise<string | undefined> {
    this.#log.log('info', 'the daemon stops', { why });
    setTimeout(() => process.exit(code), clean ? CLEAN_LIMIT_MS : STOP_LIMIT_MS);
    try {
      await this.#endAll(clean);
      void this.#leave(code);
      return undefined;
    } catch (error) {
      this.#report('the end was not orderly', error);
      void this.#leave(code === 0 ? 1 : code);
      return messageOf(error);
    }
  }

  async #endAll(clean: boolean): Promise<void> {
    try {
      await this.#closeParts();
      if (clean) await this.#clean();
    } finally {
      await this.onEnd();
    }
  }

  async #clean(): Promise<void> {
    await allOf([() => this.#cni?.uninstall() ?? Promise.resolve(), () => this.#cleanNetwork()]);
  }

  async #cleanNetwork(): Promise<void> {
    await this.#host.network.clean();
    // A disk that is full is no reason not to be clean.
    await this.#recordBridges().catch((error: unknown) =>
      this.#report('what is left is not recorded', error),
    );
  }

  /** The API goes last: once it does not answer, the next daemon finds ports, interfaces and state free. */
  async #leave(code: number): Promise<void> {
    await this.#api?.close();
    process.exit(code);
  }
}
