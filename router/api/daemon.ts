import type { CheckOutcome, RemovedPeer, ResetOutcome } from '../../ipam/effects.ts';
import type { StatusDocument } from '../status.ts';

/**
 * What the API needs of the daemon behind it; supplied by cli/launch. Every method may reject with an Error whose
 * message is one line for the operator. `signal` aborts when the client has gone: the request is undone then.
 */
export interface Daemon {
  status(): Promise<StatusDocument>;
  report(): Promise<Record<string, unknown>>;
  /** Resolves before the daemon ends, so that the answer still gets out; with `clean`, once what it made is removed. */
  stop(clean: boolean): Promise<void>;
  connect(peers: readonly string[], replace: boolean): Promise<void>;
  forget(peers: readonly string[]): Promise<void>;
  /** Reads the password file again. */
  rotate(): Promise<RotateResult>;
  /** New session keys with one peer, by name or nickname, or with all whose link is up; the peers that were asked. */
  rekey(peer: string | undefined): Promise<readonly PeerRef[]>;
  attach(request: AttachRequest, signal: AbortSignal): Promise<AttachResult>;
  /** The CIDRs that were given back; empty if there was nothing. */
  detach(target: string, addresses: readonly string[]): Promise<readonly string[]>;
  expose(request: ExposeRequest, signal: AbortSignal): Promise<AttachResult>;
  hide(addresses: readonly string[]): Promise<readonly string[]>;
  ps(): Promise<readonly AttachmentRow[]>;
  prime(signal: AbortSignal): Promise<void>;
  allocate(id: string, subnet: string | undefined, signal: AbortSignal): Promise<readonly string[]>;
  claim(id: string, cidr: string, signal: AbortSignal): Promise<readonly string[]>;
  release(id: string, cidr: string | undefined): Promise<readonly string[]>;
  /** One call of the CNI plugin; `body` is what its program in /opt/cni/bin sends. Never rejects for a refusal. */
  cni(body: Buffer, signal: AbortSignal): Promise<CniAnswer>;
  /** Remembers the directories and writes the network configuration when ADD can be served. */
  cniInstall(request: CniInstallRequest): Promise<void>;
  /** Takes over what dead peers own, each by name or nickname: all of them or none. */
  removePeers(request: RemovePeersRequest, signal: AbortSignal): Promise<readonly RemovedPeer[]>;
  /** Takes everything attached off, releases all addresses and hands the ranges to another peer. */
  reset(force: boolean, signal: AbortSignal): Promise<ResetOutcome>;
  /** Compares what all peers hold. */
  check(signal: AbortSignal): Promise<CheckOutcome>;
}

export interface CniAnswer {
  /** Is `output` an error? */
  readonly failed: boolean;
  /** What the program prints: JSON, or nothing. */
  readonly output: string;
}

export interface CniInstallRequest {
  readonly binDir: string;
  readonly confDir: string;
  readonly cniVersion: string;
}

export interface RemovePeersRequest {
  readonly peers: readonly string[];
  /** The addresses do not rest for 10 min. */
  readonly now: boolean;
  /** Every owner has to acknowledge it, however long it is out of reach. */
  readonly strict: boolean;
}

export interface RotateResult {
  /** Passwords that are accepted now. */
  readonly accepted: number;
  readonly added: number;
  readonly dropped: number;
  /** Connections that are being made afresh, as their password was dropped. */
  readonly remaking: number;
  /** Sentences that the operator should read, such as that others can read the file. */
  readonly notes: readonly string[];
}

export interface PeerRef {
  readonly peer: string;
  readonly nickname: string;
}

export interface AttachRequest {
  /** Namespace path, `ip netns` name or pid. */
  readonly target: string;
  /** `ip:CIDR`, `net:CIDR`, `net:default` or a bare CIDR; none = one from the default subnet. */
  readonly addresses: readonly string[];
  /** Name inside the namespace; by default ethwe, or the one that the attachment has. */
  readonly interface?: string;
  readonly defaultRoute: boolean;
}

export interface ExposeRequest {
  readonly addresses: readonly string[];
  readonly masquerade: boolean;
}

export interface AttachResult {
  readonly id: string;
  /** CIDRs. */
  readonly addresses: readonly string[];
  readonly interface: string;
  readonly mac: string;
  readonly mtu: number;
  /** Sentences that the operator should read, such as that ip_forward was switched on. */
  readonly notes: readonly string[];
}

/** Where nothing is attached, only addresses are held, target, interface and mac are empty and the state is "allocated". */
export interface AttachmentRow {
  readonly id: string;
  readonly target: string;
  readonly interface: string;
  readonly mac: string;
  readonly addresses: readonly string[];
  readonly state: string;
}
