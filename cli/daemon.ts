import type { Cidr } from '../core/address.ts';
import { formatCidr, formatEndpoint, parseCidr } from '../core/address.ts';
import { toHex } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import type { TopologyEntry } from '../gossip/topology-entry.ts';
import type { Allocation } from '../ipam/allocations.ts';
import type { CheckOutcome, IpamRequest, IpamResult, RemovedPeer, ResetOutcome } from '../ipam/effects.ts';
import type { InstallSettings } from '../plugin/cni/installation.ts';
import { isSupported, SUPPORTED_VERSIONS } from '../plugin/cni/spec-version.ts';
import { EXPOSE_ID, isOwnId } from '../plugin/host/attachment-record.ts';
import type { AddressPort } from '../plugin/host/host-port.ts';
import type { Attachments } from '../plugin/host/attachments.ts';
import type {
  AttachmentRow,
  AttachRequest,
  AttachResult,
  CniAnswer,
  CniInstallRequest,
  Daemon,
  ExposeRequest,
  PeerRef,
  RemovePeersRequest,
  RotateResult,
} from '../router/api/daemon.ts';
import type { ControlNode } from '../router/control-node.ts';
import type { Answer, ControlLoop } from '../router/loop/control-loop.ts';
import type { IpamStatus } from '../ipam/status.ts';
import type { StatusDocument } from '../router/status.ts';
import { peersToRekey } from './peer-choice.ts';

/** Requests to the node that await their answer, by number. */
export class Requests {
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #last = 0;

  /** `ask` puts the request with the given number; resolves with its answer. */
  put(ask: (request: number) => void): { readonly request: number; readonly answer: Promise<Answer> } {
    const request = ++this.#last;
    const answer = new Promise<Answer>((resolve) => this.#waiting.set(request, resolve));
    ask(request);
    return { request, answer };
  }

  onAnswer(answer: Answer): void {
    this.#waiting.get(answer.request)?.(answer);
    this.#waiting.delete(answer.request);
  }

  forget(request: number): void {
    this.#waiting.delete(request);
  }
}

/** Address allocation as promises; a refusal is an Error with the allocator's sentence. */
export class NodeAddresses implements AddressPort {
  readonly #node: ControlNode;
  readonly #loop: ControlLoop;
  readonly #requests: Requests;

  constructor(node: ControlNode, loop: ControlLoop, requests: Requests) {
    this.#node = node;
    this.#loop = loop;
    this.#requests = requests;
  }

  async allocate(id: string, subnet?: Cidr, signal?: AbortSignal): Promise<Cidr> {
    return firstAddress(await this.ask({ type: 'allocate', id, subnet }, signal));
  }

  async claim(id: string, cidr: Cidr, signal?: AbortSignal): Promise<void> {
    await this.ask({ type: 'claim', id, cidr }, signal);
  }

  async release(id: string, address?: Cidr): Promise<void> {
    await this.ask({ type: 'release', id, address: address?.ip });
  }

  async lookup(id: string): Promise<readonly Cidr[]> {
    const result = await this.ask({ type: 'lookup', id });
    return result.type === 'addresses' ? result.addresses : [];
  }

  async ids(): Promise<readonly string[]> {
    const result = await this.ask({ type: 'list' });
    return result.type === 'allocations' ? result.allocations.map(({ id }) => id) : [];
  }

  /** Rejects when `signal` aborts; the allocator drops the request then. */
  ask(operation: IpamRequest, signal?: AbortSignal): Promise<IpamResult> {
    return new Promise((resolve, reject) => {
      const { request, answer } = this.#requests.put((number) =>
        this.#loop.tell((now) => this.#node.onIpamRequest(number, operation, now)),
      );
      const abort = () => {
        this.#requests.forget(request);
        this.#loop.tell((now) => this.#node.onIpamCancel(request, now));
        reject(new Error('the request was given up by whoever asked'));
      };
      if (signal?.aborted === true) {
        abort();
        return;
      }
      signal?.addEventListener('abort', abort, { once: true });
      void answer.then((reply) => {
        signal?.removeEventListener('abort', abort);
        const result = (reply as Extract<Answer, { type: 'ipam-reply' }>).result;
        if (result.type === 'failed') reject(new Error(result.error));
        else resolve(result);
      });
    });
  }
}

function allocatedRow({ id, addresses }: Allocation): AttachmentRow {
  const row = { id, target: '', interface: '', mac: '', state: 'allocated' };
  return { ...row, addresses: addresses.map(formatCidr) };
}

function firstAddress(result: IpamResult): Cidr {
  if (result.type !== 'addresses' || result.addresses.length === 0) throw new Error('no address was given');
  return result.addresses[0]!;
}

/** What only the process around the node knows. */
export interface DaemonEdge {
  readonly version: string;
  readonly engine: 'native' | 'portable';
  uptimeSeconds(): number;
  /** Sentences for `status`: chains of others that drop our packets, a bridge that cannot be mended. */
  problems(): readonly string[];
  /** Frames that were lost before the daemon saw them, by reason. */
  tapLosses(): Readonly<Record<string, number>>;
  /** Packets that our rules in the kernel stopped, by counter. */
  stopped(): Promise<Readonly<Record<string, number>>>;
  /** Reads the password file again and tells the node; throws one sentence, having changed nothing. */
  rotate(): RotateResult;
  /** As {@link Daemon.stop}. */
  stop(clean: boolean): Promise<void>;
  cni(body: Buffer, signal: AbortSignal): Promise<CniAnswer>;
  cniInstall(settings: InstallSettings): Promise<void>;
}

type NodeStatus = Extract<Answer, { type: 'status' }>['document'];

/** The daemon as the API sees it: requests to the node and to the host, as promises. */
export class RunningDaemon implements Daemon {
  readonly #node: ControlNode;
  readonly #loop: ControlLoop;
  readonly #requests: Requests;
  readonly #addresses: NodeAddresses;
  readonly #attachments: Attachments;
  readonly #edge: DaemonEdge;

  constructor(
    node: ControlNode,
    loop: ControlLoop,
    requests: Requests,
    addresses: NodeAddresses,
    attachments: Attachments,
    edge: DaemonEdge,
  ) {
    this.#node = node;
    this.#loop = loop;
    this.#requests = requests;
    this.#addresses = addresses;
    this.#attachments = attachments;
    this.#edge = edge;
  }

  async status(): Promise<StatusDocument> {
    return this.#whole(await this.#status());
  }

  /** The part of {@link status} that needs nothing but the node. */
  async ipamStatus(): Promise<IpamStatus> {
    return (await this.#status()).ipam;
  }

  async report(): Promise<Record<string, unknown>> {
    const { answer } = this.#requests.put((request) =>
      this.#loop.tell((now) => this.#node.requestReport(request, now)),
    );
    const { document } = (await answer) as Extract<Answer, { type: 'report' }>;
    const { topology, details, workers, failures, ...status } = document;
    return {
      ...(await this.#whole(status)),
      topology: topology.map(printable),
      details,
      workers,
      failures,
      attachments: await this.ps(),
    };
  }

  stop(clean: boolean): Promise<void> {
    return this.#edge.stop(clean);
  }

  connect(peers: readonly string[], replace: boolean): Promise<void> {
    return this.#change((now) => this.#node.connect(peers, replace, now));
  }

  forget(peers: readonly string[]): Promise<void> {
    return this.#change((now) => this.#node.forget(peers, now));
  }

  rotate(): Promise<RotateResult> {
    return Promise.resolve().then(() => this.#edge.rotate());
  }

  async rekey(wanted: string | undefined): Promise<readonly PeerRef[]> {
    const chosen = peersToRekey((await this.status()).router, wanted);
    const names = chosen.map(({ peer }) => peer as PeerName);
    this.#loop.tell((now) => this.#node.rekey(names, now));
    return chosen;
  }

  attach(request: AttachRequest, signal: AbortSignal): Promise<AttachResult> {
    return this.#attachments.attach({ ...request, signal });
  }

  detach(target: string, addresses: readonly string[]): Promise<readonly string[]> {
    return this.#attachments.detach(target, addresses);
  }

  expose(request: ExposeRequest, signal: AbortSignal): Promise<AttachResult> {
    return this.#attachments.expose(request.addresses, request.masquerade, signal);
  }

  hide(addresses: readonly string[]): Promise<readonly string[]> {
    return this.#attachments.hide(addresses);
  }

  /** Addresses that something else than an attachment holds are rows, too: whoever forgot an id finds it here. */
  async ps(): Promise<readonly AttachmentRow[]> {
    const rows = await this.#attachments.ps();
    const held = await this.#addresses.ask({ type: 'list' });
    const attached = new Set(rows.map(({ id }) => id));
    const others = held.type === 'allocations' ? held.allocations : [];
    return [...rows, ...others.filter(({ id }) => !attached.has(id)).map(allocatedRow)];
  }

  async prime(signal: AbortSignal): Promise<void> {
    await this.#addresses.ask({ type: 'prime' }, signal);
  }

  async allocate(id: string, subnet: string | undefined, signal: AbortSignal): Promise<readonly string[]> {
    refuseOwnId(id);
    const cidr = subnet === undefined ? undefined : cidrOf(subnet);
    return [formatCidr(await this.#addresses.allocate(id, cidr, signal))];
  }

  async claim(id: string, cidr: string, signal: AbortSignal): Promise<readonly string[]> {
    refuseOwnId(id);
    await this.#addresses.claim(id, cidrOf(cidr), signal);
    return [cidr];
  }

  async release(id: string, cidr: string | undefined): Promise<readonly string[]> {
    const wanted = cidr === undefined ? undefined : cidrOf(cidr);
    if (this.#attachments.recordsOf(id).some((record) => record.id === id)) throw new Error(inUse(id));
    const held = await this.#addresses.lookup(id);
    await this.#addresses.release(id, wanted);
    const left = new Set((await this.#addresses.lookup(id)).map(formatCidr));
    return held.map(formatCidr).filter((address) => !left.has(address));
  }

  cni(body: Buffer, signal: AbortSignal): Promise<CniAnswer> {
    return this.#edge.cni(body, signal);
  }

  async cniInstall({ binDir, confDir, cniVersion }: CniInstallRequest): Promise<void> {
    if (!isSupported(cniVersion)) {
      throw new Error(`the CNI version "${cniVersion}" is unknown: choose ${SUPPORTED_VERSIONS.join(', ')}`);
    }
    await this.#edge.cniInstall({ binDir, confDir, cniVersion });
  }

  async removePeers(request: RemovePeersRequest, signal: AbortSignal): Promise<readonly RemovedPeer[]> {
    const result = await this.#addresses.ask({ type: 'remove-peers', ...request }, signal);
    return result.type === 'removed' ? result.removed : [];
  }

  /** What is attached goes first, so that nothing uses an address that the heir may hand out; but not in vain. */
  async reset(force: boolean, signal: AbortSignal): Promise<ResetOutcome> {
    await this.#addresses.ask({ type: 'reset', force, probe: true }, signal);
    const before = await this.#addresses.ask({ type: 'list' });
    const result = await this.#attachments.withoutAny(() =>
      this.#addresses.ask({ type: 'reset', force }, signal),
    );
    if (result.type !== 'reset' || before.type !== 'allocations')
      throw new Error('the reset was not answered');
    const released = before.allocations.reduce((sum, { addresses }) => sum + addresses.length, 0);
    return { ...result.reset, released };
  }

  async check(signal: AbortSignal): Promise<CheckOutcome> {
    const result = await this.#addresses.ask({ type: 'check' }, signal);
    if (result.type !== 'checked') throw new Error('the check was not answered');
    return result.check;
  }

  /** `input` returns a sentence if it refuses. */
  #change(input: (now: Millis) => string | undefined): Promise<void> {
    let refusal: string | undefined;
    this.#loop.tell((now) => (refusal = input(now)));
    return refusal === undefined ? Promise.resolve() : Promise.reject(new Error(refusal));
  }

  async #status(): Promise<NodeStatus> {
    const { answer } = this.#requests.put((request) =>
      this.#loop.tell((now) => this.#node.requestStatus(request, now)),
    );
    return ((await answer) as Extract<Answer, { type: 'status' }>).document;
  }

  async #whole(document: NodeStatus): Promise<StatusDocument> {
    const { engine, version } = this.#edge;
    const { name, nickname, incarnation, encryption, passwords, mtu, ...rest } = document.router;
    const drops = { ...rest.drops, ...this.#edge.tapLosses() };
    const uptimeSeconds = this.#edge.uptimeSeconds();
    const warnings = this.#edge.problems();
    return {
      version,
      router: {
        name,
        nickname,
        incarnation,
        encryption,
        passwords,
        engine,
        mtu,
        uptimeSeconds,
        ...rest,
        drops,
      },
      ipam: document.ipam,
      ...(warnings.length === 0 ? {} : { warnings }),
      stopped: await this.#edge.stopped(),
    };
  }
}

/** A topology entry with addresses and keys as text. */
function printable(entry: TopologyEntry): Record<string, unknown> {
  return { ...entry, key: toHex(entry.key), addresses: entry.addresses.map(formatEndpoint) };
}

/** The daemon would take what is under it for its own, and give it back. */
function refuseOwnId(id: string): void {
  if (isOwnId(id)) throw new Error(`"${id}" looks like an identifier of the daemon's own: choose another`);
}

/** Its addresses are on an interface: given to somebody else, they would be in use twice. */
function inUse(id: string): string {
  const remedy = id === EXPOSE_ID ? 'hide' : `detach ${id}`;
  return `the addresses of "${id}" are on an interface: weave-ts ${remedy} takes them off it and releases them`;
}

function cidrOf(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`"${text}" is not a CIDR: write it like 10.32.0.7/12`);
  return cidr;
}
