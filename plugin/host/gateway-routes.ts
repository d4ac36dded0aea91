import { cidrContains, equalIp, formatCidr, networkOf } from '../../core/address.ts';
import type { Cidr } from '../../core/address.ts';
import type { Log } from '../../core/log.ts';
import type { AttachmentRecord } from './attachment-record.ts';
import { EXPOSE_ID, POD_PREFIX } from './attachment-record.ts';
import { messageOf } from './host-error.ts';
import type { HostPort } from './host-port.ts';
import type { Namespace } from './namespace.ts';
import type { GatewayRoute } from './port.ts';
import type { RecordBook } from './record-book.ts';

/** Does the work when nothing else changes what concerns the id. */
type InTurn = <Result>(id: string, work: () => Promise<Result>) => Promise<Result>;

interface GatewayRoutesOptions {
  readonly host: HostPort;
  readonly log: Log;
}

/**
 * Routes of attached namespaces through the host's own addresses: they go with such an address, as packets to a gateway
 * that is gone vanish, and come back with one of the same subnet. Nothing here rejects: what fails is logged.
 */
export class GatewayRoutes {
  readonly #host: HostPort;
  readonly #log: Log;
  readonly #records: RecordBook;
  readonly #inTurn: InTurn;
  /** The last failure of each attachment, which need not be logged again. */
  readonly #told = new Map<string, string>();

  constructor({ host, log }: GatewayRoutesOptions, records: RecordBook, inTurn: InTurn) {
    this.#host = host;
    this.#log = log;
    this.#records = records;
    this.#inTurn = inTurn;
  }

  /** After `hidden` are no longer the host's. */
  async withdraw(hidden: readonly Cidr[]): Promise<void> {
    if (hidden.length === 0) return;
    for (const { id, hostInterface, pending } of this.#records.all()) {
      if (hostInterface === '') continue;
      const withdrawn = this.#try(id, 'routes through a hidden address stay', () =>
        this.#withdraw(id, hidden),
      );
      // An attach that is under way may wait for its address for long, and is seen to when it has ended.
      if (!pending) await withdrawn;
    }
  }

  /** Sets those again for whose attachments the host has an address once more. */
  async restore(): Promise<void> {
    for (const record of this.#records.all()) {
      if (this.#restorable(record).length === 0) continue;
      await this.#try(record.id, 'routes could not be set again', () => this.#restore(record.id));
    }
  }

  async #withdraw(id: string, hidden: readonly Cidr[]): Promise<void> {
    const exposed = this.#exposed();
    const gone = hidden.filter(({ ip }) => !exposed.some((own) => equalIp(own.ip, ip)));
    const record = this.#records.get(id);
    if (record === undefined || gone.length === 0) return;
    await this.#inNamespaceOf(record, async (namespace) => {
      const gateways = gone.map(({ ip }) => ip);
      const routes = await this.#host.routesThrough(namespace, record.interface, gateways);
      if (routes.length === 0) return;
      const before = (record.lostRoutes ?? []).filter(
        (lost) => !routes.some((route) => isSameRoute(lost, route)),
      );
      const lostRoutes = [...before, ...routes];
      await this.#records.put({ ...record, lostRoutes });
      await this.#host.changeRoutes(namespace, 'remove', record.interface, routes);
      const fields = { id, routes: routes.map(({ destination }) => formatCidr(destination)) };
      this.#log.log('info', 'routes through a hidden address are removed', fields);
    });
  }

  async #restore(id: string): Promise<void> {
    const record = this.#records.get(id);
    if (record === undefined) return;
    const found = this.#restorable(record);
    if (found.length === 0) return;
    await this.#inNamespaceOf(record, async (namespace) => {
      const routes = found.map(({ now }) => now);
      await this.#host.changeRoutes(namespace, 'set', record.interface, routes);
      const left = (record.lostRoutes ?? []).filter((route) => !found.some(({ lost }) => lost === route));
      await this.#records.put({ ...record, lostRoutes: left.length === 0 ? undefined : left });
    });
  }

  #try(id: string, failure: string, work: () => Promise<void>): Promise<void> {
    return this.#inTurn(id, work).then(
      () => void this.#told.delete(id),
      (error: unknown) => {
        const message = messageOf(error);
        if (this.#told.get(id) !== message) this.#log.log('warn', failure, { id, error: message });
        this.#told.set(id, message);
      },
    );
  }

  #exposed(): readonly Cidr[] {
    return this.#records.get(EXPOSE_ID)?.addresses ?? [];
  }

  /** The lost routes for whose gateway there is another one in its subnet, as they will be with it. */
  #restorable({ lostRoutes = [], pending, addresses }: AttachmentRecord): RestorableRoute[] {
    if (pending) return [];
    const gateways = this.#exposed().filter((own) => addresses.some((cidr) => isSameSubnet(own, cidr)));
    return lostRoutes.flatMap((lost) => {
      const gateway = gateways.find((own) => cidrContains(own, lost.via));
      return gateway === undefined ? [] : [{ lost, now: { ...lost, via: gateway.ip } }];
    });
  }

  /** Nothing is done where the namespace is not to be found any more. */
  async #inNamespaceOf(
    record: AttachmentRecord,
    work: (namespace: Namespace) => Promise<void>,
  ): Promise<void> {
    const namespace = await this.#host.open(record.target).catch(() => undefined);
    try {
      const isIts = namespace?.id === record.id || record.id.startsWith(POD_PREFIX);
      if (namespace !== undefined && isIts) await work(namespace);
    } finally {
      await namespace?.close();
    }
  }
}

interface RestorableRoute {
  readonly lost: GatewayRoute;
  readonly now: GatewayRoute;
}

function isSameRoute(a: GatewayRoute, b: GatewayRoute): boolean {
  return (
    formatCidr(a.destination) === formatCidr(b.destination) && equalIp(a.via, b.via) && a.metric === b.metric
  );
}

function isSameSubnet(a: Cidr, b: Cidr): boolean {
  return a.prefix === b.prefix && equalIp(networkOf(a), networkOf(b));
}
