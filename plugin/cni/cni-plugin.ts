import type { Cidr, IpAddress } from '../../core/address.ts';
import { formatIp } from '../../core/address.ts';
import type { Log } from '../../core/log.ts';
import { MAX_ID_LENGTH } from '../../ipam/attempt.ts';
import type { AddressArgument } from '../host/address-argument.ts';
import { includesIp } from '../host/address-lease.ts';
import type { Attached, PodPort } from '../host/attach.ts';
import type { AttachmentRecord } from '../host/attachment-record.ts';
import type { PodRequest } from '../host/attachments.ts';
import {
  AddressRefused,
  BadNamespace,
  HostError,
  InterfaceExists,
  messageOf,
  NoNamespace,
} from '../host/host-error.ts';
import { decodeCallBody } from './call-body.ts';
import { CNI_CODES, CniError } from './cni-error.ts';
import { appendResult, EMPTY_RESULT, encodeResult } from './cni-result.ts';
import { parseInvocation } from './invocation.ts';
import type { Command, Invocation } from './invocation.ts';
import { parseNetworkConfig } from './network-config.ts';
import type { NetworkConfig } from './network-config.ts';
import { podProblem } from './pod-check.ts';
import type { PodState } from './pod-check.ts';
import { networkPrefix, podId } from './pod-identity.ts';
import { leaseResult, podResult, podRoutes } from './pod-result.ts';
import type { BridgeFacts } from './pod-result.ts';
import { isAtLeast, isSupported, NEWEST_VERSION, SUPPORTED_VERSIONS } from './spec-version.ts';
import type { SpecVersion } from './spec-version.ts';

/** What CNI needs of the daemon. */
export interface CniPorts {
  readonly attachments: PodAttachments;
  readonly bridge: BridgeFacts;
  readonly defaultSubnet: Cidr;
  /** Why no address can ever be given out of this subnet, or undefined. */
  subnetProblem(subnet: Cidr): string | undefined;
  /** Rejects with {@link BadNamespace}. */
  podState(record: AttachmentRecord, netns: string): Promise<PodState>;
  /** The addresses that the allocator has given to this identity. */
  allocated(id: string): Promise<readonly Cidr[]>;
  /** Why ADD cannot be served now, or undefined. */
  obstacle(): Promise<Obstacle | undefined>;
  /**
   * Does the DELs that came while no daemon was there, which must take effect before a new ADD of the same pod. Resolves
   * to the bodies of those that could not be done.
   */
  replaySpool(): Promise<readonly Buffer[]>;
  readonly log: Log;
}

/** The part of the attachment service that CNI uses. */
export interface PodAttachments {
  attachPod(request: PodRequest): Promise<Attached>;
  lease(id: string, request: Omit<PodRequest, 'pod'>): Promise<readonly Cidr[]>;
  removePod(id: string): Promise<void>;
  removeStrayPorts(): Promise<void>;
  releaseStrayAddresses(): Promise<void>;
  recordsOf(prefix: string): AttachmentRecord[];
  /** Releases what has lost its interface or namespace, of those whose ids begin so. */
  releaseGone(prefix: string): Promise<void>;
}

export interface Obstacle {
  readonly message: string;
  /** Are pods that run affected too? */
  readonly limitsPods: boolean;
}

/** What the program in /opt/cni/bin prints and how it exits. */
export interface CniAnswer {
  readonly failed: boolean;
  /** JSON, or nothing. */
  readonly output: string;
}

/** Less than the 30 s that the shim waits, so that the runtime gets a reason. */
const ADD_LIMIT_MS = 25_000;

interface Call {
  readonly invocation: Invocation;
  readonly config: NetworkConfig;
  readonly id: string;
  readonly signal: AbortSignal;
}

/** The versions of the specification in which each command exists. */
const SINCE: Readonly<Record<Exclude<Command, 'VERSION'>, SpecVersion>> = {
  ADD: '0.3.0',
  DEL: '0.3.0',
  CHECK: '0.4.0',
  GC: '1.1.0',
  STATUS: '1.1.0',
};

/** The CNI plugin, specification 1.1.0. One call each of the program in /opt/cni/bin; calls may overlap. */
export class CniPlugin {
  readonly #ports: CniPorts;

  constructor(ports: CniPorts) {
    this.#ports = ports;
  }

  /** `body` is in the form of call-body.ts. Refusals are answers; `signal` aborts when the program has gone. */
  async call(body: Buffer, signal: AbortSignal): Promise<CniAnswer> {
    const parsed = decodeCallBody(body);
    const input = parsed?.input ?? '';
    try {
      if (parsed === undefined) throw new CniError(CNI_CODES.undecodable, 'the environment has no end');
      const invocation = parseInvocation(parsed.environment);
      if (invocation.command === 'VERSION') return success(versionOutput(input));
      const config = parseNetworkConfig(input, invocation.command, invocation.args);
      checkCommand(invocation.command, config.cniVersion);
      const id = podId(invocation.program, config.name, invocation);
      if (id.length > MAX_ID_LENGTH) return success(withLongId(invocation));
      return success(await this.#run(invocation.command, { invocation, config, id, signal }));
    } catch (error) {
      return this.#failure(error, input);
    }
  }

  #run(command: Exclude<Command, 'VERSION'>, call: Call): Promise<Record<string, unknown> | undefined> {
    switch (command) {
      case 'ADD':
        return this.#add(call);
      case 'DEL':
        return this.#delete(call);
      case 'CHECK':
        return this.#check(call);
      case 'GC':
        return this.#collect(call);
      case 'STATUS':
        return this.#status();
    }
  }

  async #add({ invocation, config, id, signal }: Call): Promise<Record<string, unknown>> {
    const { netns, ifname, program } = invocation;
    if (program === 'weave-ts') {
      refuseTaken(config, ifname, netns);
      refuseLargeMtu(config, this.#ports.bridge);
    }
    this.#refuseSubnet(config.subnet);
    const limit = AbortSignal.timeout(ADD_LIMIT_MS);
    const wanted = this.#wanted(config);
    const request = { target: netns, interface: ifname, wanted, signal: AbortSignal.any([signal, limit]) };
    try {
      await Promise.race([this.#endDeletes(id), whenAborted(request.signal)]);
      if (program === 'weave-ts-ipam') {
        return encodeResult(
          leaseResult(await this.#ports.attachments.lease(id, request), config),
          config.cniVersion,
        );
      }
      const pod: PodPort = { id, mtu: config.mtu, hairpin: config.hairpin, ...this.#gateway(config) };
      const attached = await this.#ports.attachments.attachPod({ ...request, pod });
      const own = podResult(attached, this.#ports.bridge, netns, config.dns);
      return encodeResult(appendResult(config.prevResult ?? EMPTY_RESULT, own), config.cniVersion);
    } catch (error) {
      throw addFailure(error, wanted, limit.aborted);
    }
  }

  /** A DEL that came before this ADD and is done after it would take the new pod away. */
  async #endDeletes(id: string): Promise<void> {
    const left = await this.#ports.replaySpool();
    if (!left.some((body) => idOf(body) === id)) return;
    throw new CniError(CNI_CODES.tryLater, 'an earlier DEL of this pod is not done yet: the log says why');
  }

  #refuseSubnet(subnet: Cidr | undefined): void {
    const problem = subnet === undefined ? undefined : this.#ports.subnetProblem(subnet);
    if (problem !== undefined) throw new CniError(CNI_CODES.badConfiguration, `ipam.subnet: ${problem}`);
  }

  #gateway(config: NetworkConfig): Pick<PodPort, 'gateway' | 'routes'> {
    return { gateway: config.gateway, routes: podRoutes(config) };
  }

  /** One free address, or those that were asked for. */
  #wanted({ requested, subnet }: NetworkConfig): AddressArgument[] {
    if (requested.length === 0) return [{ kind: 'allocate', ...(subnet === undefined ? {} : { subnet }) }];
    return requested.map(({ ip, prefix }) => {
      const { defaultSubnet } = this.#ports;
      const usual = ip.family === defaultSubnet.ip.family ? defaultSubnet.prefix : undefined;
      return { kind: 'claim', cidr: { ip, prefix: prefix ?? usual ?? missingPrefix(ip) } };
    });
  }

  async #delete({ id }: Call): Promise<undefined> {
    await this.#ports.attachments.removePod(id);
    return undefined;
  }

  async #check({ invocation, config, id }: Call): Promise<undefined> {
    const { attachments, bridge } = this.#ports;
    const [record] = attachments.recordsOf(id).filter((one) => one.id === id);
    if (invocation.program === 'weave-ts-ipam') return this.#checkLease(id, record);
    if (config.prevResult === undefined) {
      throw new CniError(CNI_CODES.badConfiguration, 'CHECK needs prevResult, the result of ADD');
    }
    if (record === undefined) throw new CniError(CNI_CODES.notAsMade, UNKNOWN_POD);
    const state = await this.#ports.podState(record, invocation.netns).catch((error: unknown) => {
      throw namespaceFailure(error);
    });
    const place = { bridge: bridge.name, netns: invocation.netns };
    const problem = podProblem(record, state, config.prevResult, place);
    if (problem !== undefined) throw new CniError(CNI_CODES.notAsMade, problem);
    return undefined;
  }

  async #checkLease(id: string, record: AttachmentRecord | undefined): Promise<undefined> {
    const given = record === undefined || record.pending ? [] : record.addresses;
    const held = await this.#ports.allocated(id);
    if (given.length > 0 && given.every((cidr) => includesIp(held, cidr))) return undefined;
    throw new CniError(CNI_CODES.notAsMade, 'no address is allocated to this pod');
  }

  /** What is not listed goes, and what lost its namespace. Without a list only the latter: silence never means "all". */
  async #collect({ invocation, config }: Call): Promise<undefined> {
    const { attachments } = this.#ports;
    const problems: string[] = [];
    const prefix = networkPrefix(invocation.program, config.name);
    if (config.validAttachments !== undefined) {
      const valid = new Set(
        config.validAttachments.map((one) => podId(invocation.program, config.name, one)),
      );
      for (const { id } of attachments.recordsOf(prefix)) {
        if (!valid.has(id)) await collecting(problems, () => attachments.removePod(id));
      }
    } else {
      await collecting(problems, () => attachments.releaseGone(prefix));
    }
    await collecting(problems, () => attachments.removeStrayPorts());
    await collecting(problems, () => attachments.releaseStrayAddresses());
    if (problems.length > 0) throw new CniError(CNI_CODES.failed, problems[0]!, problems.slice(1).join('; '));
    return undefined;
  }

  async #status(): Promise<undefined> {
    const obstacle = await this.#ports.obstacle();
    if (obstacle === undefined) return undefined;
    throw new CniError(obstacle.limitsPods ? CNI_CODES.limited : CNI_CODES.unavailable, obstacle.message);
  }

  #failure(error: unknown, input: string): CniAnswer {
    const refusal = error instanceof CniError ? error : new CniError(CNI_CODES.failed, messageOf(error));
    if (!(error instanceof CniError) && !(error instanceof HostError)) {
      const fields = { error: error instanceof Error ? error.stack : String(error) };
      this.#ports.log.log('error', 'a CNI call failed', fields);
    }
    return { failed: true, output: JSON.stringify(errorOutput(refusal, input)) };
  }
}

const UNKNOWN_POD = 'the daemon knows of no such pod: delete it and add it again';

/** An interface of an earlier plugin of the chain has the name already. */
function refuseTaken(config: NetworkConfig, ifname: string, netns: string): void {
  const taken = config.prevResult?.interfaces.some(
    ({ name, sandbox }) => name === ifname && sandbox !== undefined && sandbox === netns,
  );
  if (taken !== true) return;
  throw new CniError(
    CNI_CODES.interfaceExists,
    `an earlier plugin of the chain has made ${ifname} already: this one needs a name of its own`,
  );
}

function refuseLargeMtu({ mtu }: NetworkConfig, bridge: BridgeFacts): void {
  if (mtu === undefined || mtu <= bridge.mtu) return;
  throw new CniError(
    CNI_CODES.badConfiguration,
    `mtu ${mtu} is more than the ${bridge.mtu} of the bridge ${bridge.name}: what is longer would not arrive`,
  );
}

/** The allocator takes no such id: there can be nothing that DEL would have to delete. */
function withLongId({ command, containerId }: Invocation): undefined {
  if (command === 'DEL' || containerId === '') return undefined;
  throw new CniError(
    CNI_CODES.badEnvironment,
    `CNI_CONTAINERID is ${containerId.length} characters long: with the name of the network and CNI_IFNAME more than ${MAX_ID_LENGTH}`,
  );
}

function missingPrefix(ip: IpAddress): never {
  const text = formatIp(ip);
  throw new CniError(
    CNI_CODES.badConfiguration,
    `the address ${text} needs the prefix of its subnet, as in ${text}/64, or ipam.subnet`,
  );
}

/** Of a call that was queued; undefined if it is none that can be done. */
function idOf(body: Buffer): string | undefined {
  const parsed = decodeCallBody(body);
  if (parsed === undefined) return undefined;
  try {
    const invocation = parseInvocation(parsed.environment);
    const { name } = parseNetworkConfig(parsed.input, invocation.command, invocation.args);
    return podId(invocation.program, name, invocation);
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = () => reject(new HostError('the runtime gave up before it had the answer'));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

function checkCommand(command: Exclude<Command, 'VERSION'>, version: SpecVersion): void {
  if (isAtLeast(version, SINCE[command])) return;
  throw new CniError(
    CNI_CODES.incompatibleVersion,
    `${command} does not exist in cniVersion ${version}: it needs ${SINCE[command]}`,
  );
}

/** Why an ADD failed, as a code that tells the runtime whether to try again. */
function addFailure(error: unknown, wanted: readonly AddressArgument[], late: boolean): unknown {
  if (late)
    return new CniError(CNI_CODES.tryLater, `no address within ${ADD_LIMIT_MS / 1_000} s`, messageOf(error));
  if (error instanceof InterfaceExists) return new CniError(CNI_CODES.interfaceExists, error.message);
  if (!(error instanceof AddressRefused)) return namespaceFailure(error);
  const isStatic = wanted.some(({ kind }) => kind === 'claim');
  return new CniError(isStatic ? CNI_CODES.addressTaken : CNI_CODES.tryLater, error.message);
}

function namespaceFailure(error: unknown): unknown {
  if (!(error instanceof BadNamespace)) return error;
  const code = error instanceof NoNamespace ? CNI_CODES.badEnvironment : CNI_CODES.badNamespace;
  return new CniError(code, `CNI_NETNS: ${error.message}`);
}

async function collecting(problems: string[], work: () => Promise<void>): Promise<void> {
  await work().catch((error: unknown) => void problems.push(messageOf(error)));
}

function success(output: Record<string, unknown> | undefined): CniAnswer {
  return { failed: false, output: output === undefined ? '' : JSON.stringify(output) };
}

/** The version that was asked with comes back, as the specification has it; without one, ours. */
function versionOutput(input: string): Record<string, unknown> {
  return { cniVersion: versionIn(input) ?? NEWEST_VERSION, supportedVersions: SUPPORTED_VERSIONS };
}

function errorOutput({ code, message, details }: CniError, input: string): Record<string, unknown> {
  const version = versionIn(input);
  const cniVersion = version !== undefined && isSupported(version) ? version : NEWEST_VERSION;
  return { cniVersion, code, msg: message, ...(details === '' ? {} : { details }) };
}

/** From input that may be anything. */
function versionIn(input: string): string | undefined {
  try {
    const value = (JSON.parse(input) as { cniVersion?: unknown } | null)?.cniVersion;
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
