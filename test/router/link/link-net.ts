import { equalEndpoint, parseEndpoint, formatEndpoint, type Endpoint } from '../../../core/address.ts';
import { parsePeerName, type PeerName } from '../../../core/peer-name.ts';
import { SeededRandom } from '../../../core/random.ts';
import type { LinkEffect } from '../../../router/link/context.ts';
import { Link, type LinkDrop } from '../../../router/link/link.ts';
import type { LinkMessage } from '../../../router/wire/inner.ts';
import { Numbers } from '../../../router/link/numbers.ts';
import type { SessionMaterial, ToControl } from '../../../router/node-messages.ts';

export const A = parsePeerName('::a')!;
export const B = parsePeerName('::b')!;
export const RELAY = parsePeerName('::c')!;

export function endpoint(text: string): Endpoint {
  return parseEndpoint(text, 6783)!;
}

export const RELAY_ADDRESS = endpoint('203.0.113.9');

interface Datagram {
  from: Endpoint;
  to: Endpoint;
  index: number;
  phase: number;
  plain: boolean;
  size: number;
  /** Undefined = a frame. */
  message: LinkMessage | undefined;
  frame: number;
}

/** What an engine would know, kept only as far as links use it; broken rules throw. */
class EngineModel {
  readonly sessions = new Map<
    number,
    { phases: Set<number>; sending: number | undefined; sealed: boolean }
  >();
  readonly indexes = new Map<number, { session: number; tag: number; roams: boolean }>();
  readonly paths = new Map<number, { to: Endpoint; sendIndex: number }>();
  readonly directAddress = new Map<number, Endpoint | undefined>();

  configure(change: Extract<LinkEffect, { type: 'configure' }>['change']): void {
    switch (change.type) {
      case 'session':
        if (this.sessions.has(change.session)) throw new Error('session twice');
        this.sessions.set(change.session, { phases: new Set(), sending: undefined, sealed: false });
        break;
      case 'session-removed':
        this.#must(this.sessions.delete(change.session), 'session-removed');
        for (const [, { session }] of this.indexes)
          this.#must(session !== change.session, 'index of no session');
        break;
      case 'key': {
        const session = this.sessions.get(change.session)!;
        this.#must(!session.phases.has(change.phase), 'key twice');
        session.phases.add(change.phase);
        session.sealed = true;
        break;
      }
      case 'send-phase':
        this.#must(this.sessions.get(change.session)!.phases.has(change.phase), 'send-phase');
        this.sessions.get(change.session)!.sending = change.phase;
        break;
      case 'key-removed':
        this.#must(this.sessions.get(change.session)!.phases.delete(change.phase), 'key-removed');
        break;
      case 'receive-index':
        this.#must(!this.indexes.has(change.index), 'index twice');
        this.indexes.set(change.index, change);
        break;
      case 'receive-index-removed':
        this.#must(this.indexes.delete(change.index), 'receive-index-removed');
        break;
      case 'direct-address':
        this.directAddress.set(change.session, change.endpoint);
        break;
      case 'path':
        this.paths.set(change.path, change);
        break;
      case 'path-removed':
        this.#must(this.paths.delete(change.path), 'path-removed');
        break;
      case 'label':
      case 'label-removed':
        throw new Error('links configure no labels');
      case 'decisions-void':
        break;
    }
  }

  #must(condition: boolean, what: string): void {
    if (!condition) throw new Error(`engine rule broken: ${what}`);
  }
}

export class Side {
  readonly engine = new EngineModel();
  readonly numbers = { paths: new Numbers(), sessions: new Numbers() };
  readonly control: { at: number; message: ToControl }[] = [];
  readonly macs: Uint8Array[] = [];
  /** Numbers of the frames that came, and whether they came plain. */
  readonly frames: { number: number; plain: boolean }[] = [];
  refusedPlain = 0;
  /** Why messages to the link were ignored. */
  readonly drops: LinkDrop[] = [];
  sendables = 0;
  sent: { at: number; message: LinkMessage | undefined; to: Endpoint; size: number }[] = [];
  readonly link: Link;
  relayReachable = true;
  readonly name: PeerName;
  /** The source address of what this side sends. */
  address: Endpoint;

  constructor(name: PeerName, peer: PeerName, address: Endpoint, seed: number, options: SideOptions) {
    this.name = name;
    this.address = address;
    this.link = new Link(
      peer,
      {
        self: name,
        bridgeMtu: options.bridgeMtu ?? 1388,
        trustedSubnets: options.trusted ?? [],
        random: new SeededRandom(seed),
        ...this.numbers,
        directEndpoint: (hop) => (hop === RELAY && this.relayReachable ? RELAY_ADDRESS : undefined),
      },
      options.macs ?? new Uint8Array(0),
      options.kept ?? true,
      0,
    );
  }

  told<T extends ToControl['type']>(type: T): (Extract<ToControl, { type: T }> & { at: number })[] {
    return this.control
      .filter(({ message }) => message.type === type)
      .map(({ at, message }) => ({ ...(message as Extract<ToControl, { type: T }>), at }));
  }
}

type Trusted = SessionMaterial['remoteTrusted'];

export interface SideOptions {
  bridgeMtu?: number;
  trusted?: SessionMaterial['remoteTrusted'];
  macs?: Uint8Array;
  kept?: boolean;
}

/** Two links joined by a network in virtual time. `passes` decides the fate of each datagram on each hop. */
export class LinkNet {
  now = 0;
  readonly a: Side;
  readonly b: Side;
  delay = 20;
  passes: (datagram: { from: Endpoint; to: Endpoint; size: number }) => boolean = () => true;
  onControl: (side: Side, message: ToControl) => void = () => undefined;
  /** Labels of the one relay: index -> where to, and the next index. */
  readonly labels = new Map<number, { to: () => Endpoint; index: number }>();
  #queue: { at: number; datagram: Datagram }[] = [];
  #frameNumber = 0;
  #nextIndex = 1000;
  #nextId = 1;

  constructor(optionsA: SideOptions = {}, optionsB: SideOptions = {}) {
    this.a = new Side(A, B, endpoint('192.0.2.1'), 1, optionsA);
    this.b = new Side(B, A, endpoint('198.51.100.2'), 2, optionsB);
  }

  /** Completes a handshake; `a` is the initiator. Undefined lag = both ends at once. */
  connect(change: Partial<SessionMaterial> = {}, trustedByB: Trusted = [], trustedByA: Trusted = []): void {
    const [indexA, indexB] = [this.#nextIndex++, this.#nextIndex++];
    const id = this.#nextId++;
    const keys = () => ({ send: new Uint8Array(32), receive: new Uint8Array(32) });
    const common = { id, lanes: 1, cookies: undefined, remoteBridgeMtu: 1388 };
    this.b.link.onSession(
      {
        ...common,
        remoteTrusted: trustedByA,
        initiator: false,
        keys: keys(),
        localIndex: indexB,
        remoteIndex: indexA,
        candidates: [this.a.address],
        ...change,
      },
      this.now,
    );
    this.a.link.onSession(
      {
        ...common,
        remoteTrusted: trustedByB,
        initiator: true,
        keys: keys(),
        localIndex: indexA,
        remoteIndex: indexB,
        candidates: [this.b.address],
        ...change,
      },
      this.now,
    );
    this.#pump();
  }

  /** Opens a circuit through the relay for both ends, for the newest session or the one with the id `session`. */
  openCircuit(circuit = 7, session = this.#nextId - 1): void {
    const [aliasA, aliasB, labelAB, labelBA] = [0, 0, 0, 0].map(() => this.#nextIndex++) as [
      number,
      number,
      number,
      number,
    ];
    this.labels.set(labelAB, { to: () => this.b.address, index: aliasB });
    this.labels.set(labelBA, { to: () => this.a.address, index: aliasA });
    this.b.link.onCircuit(
      { type: 'circuit', peer: A, session, circuit, route: [B, RELAY, A], alias: aliasB, sendIndex: labelBA },
      this.now,
    );
    this.a.link.onCircuit(
      { type: 'circuit', peer: B, session, circuit, route: [A, RELAY, B], alias: aliasA, sendIndex: labelAB },
      this.now,
    );
    this.#pump();
  }

  /** Gives both ends of the newest session the keys of a phase. */
  input(action: () => void): void {
    action();
    this.#pump();
  }

  /** Sends a numbered frame if there is a route; returns its number. */
  sendFrame(side: Side, size = 200): number | undefined {
    const route = side.link.route;
    if (route === undefined) return undefined;
    const number = ++this.#frameNumber;
    this.#transmit(side, route.session, route.path, {
      plain: route.plain,
      size,
      message: undefined,
      frame: number,
    });
    side.link.onDataSent(route.session, 1, size, this.now);
    this.#pump();
    return number;
  }

  /** A message of that link, on the way that its frames take. */
  sendMessage(side: Side, message: LinkMessage): void {
    this.recordMessage(side, message)();
  }

  /** As {@link sendMessage}, kept on the way until the result is called. */
  recordMessage(side: Side, message: LinkMessage): () => void {
    const { path, session, plain } = side.link.route!;
    const { to, sendIndex: index } = side.engine.paths.get(path)!;
    const phase = side.engine.sessions.get(session)!.sending ?? 0;
    const datagram = { plain, size: 60, message, frame: 0, phase, from: side.address, to, index };
    return () => this.#hop(datagram);
  }

  /** Runs for `duration` ms; `each` is called every 100 ms. */
  run(duration: number, each: () => void = () => undefined): void {
    const end = this.now + duration;
    let nextEach = this.now;
    for (let steps = 0; ; steps++) {
      if (steps > 200_000) throw new Error('no progress');
      const next = Math.min(this.#nextEvent(), nextEach);
      if (next > end) break;
      this.now = Math.max(this.now, next);
      if (nextEach <= this.now) {
        each();
        nextEach = this.now + 100;
      }
      this.#step();
    }
    this.now = end;
  }

  #nextEvent(): number {
    const timeouts = [this.a, this.b].map(({ link }) => link.nextTimeout() ?? Infinity);
    return Math.min(this.#queue[0]?.at ?? Infinity, ...timeouts);
  }

  #step(): void {
    while (this.#queue[0] && this.#queue[0].at <= this.now) this.#arrive(this.#queue.shift()!.datagram);
    for (const { link } of [this.a, this.b]) {
      if ((link.nextTimeout() ?? Infinity) > this.now) continue;
      link.onTimeout(this.now);
      if ((link.nextTimeout() ?? Infinity) <= this.now) throw new Error('a timeout does not move on');
    }
    this.#pump();
  }

  #pump(): void {
    for (const side of [this.a, this.b, this.a, this.b, this.a]) {
      for (const effect of side.link.drain()) this.#perform(side, effect);
    }
  }

  #perform(side: Side, effect: LinkEffect): void {
    switch (effect.type) {
      case 'configure':
        side.engine.configure(effect.change);
        break;
      case 'released':
        side.numbers[effect.of].release(effect.number);
        break;
      case 'send':
        this.#transmit(side, effect.session, effect.path, {
          plain: effect.plain,
          size: effect.size ?? 60,
          message: effect.message,
          frame: 0,
        });
        break;
      case 'control':
        side.control.push({ at: this.now, message: effect.message });
        this.onControl(side, effect.message);
        break;
      case 'sendable':
        side.sendables++;
        break;
      case 'peer-macs':
        side.macs.push(effect.macs);
        break;
      case 'direct-path':
      // Of lanes above 0, which there are none of here.
      case 'lanes':
      case 'lane-key':
      case 'lane-phase':
        break;
    }
  }

  #transmit(
    side: Side,
    session: number,
    path: number,
    what: Pick<Datagram, 'plain' | 'size' | 'message' | 'frame'>,
  ): void {
    const route = side.engine.paths.get(path);
    const sealing = side.engine.sessions.get(session);
    if (route === undefined || sealing === undefined)
      throw new Error('sent on what the engine does not know');
    if (!what.plain && sealing.sending === undefined) throw new Error('sealed without a key');
    side.sent.push({ at: this.now, message: what.message, to: route.to, size: what.size });
    this.#hop({
      ...what,
      phase: sealing.sending ?? 0,
      from: side.address,
      to: route.to,
      index: route.sendIndex,
    });
  }

  #hop(datagram: Datagram): void {
    if (!this.passes(datagram)) return;
    this.#queue.push({ at: this.now + this.delay, datagram });
    this.#queue.sort((x, y) => x.at - y.at);
  }

  #arrive(datagram: Datagram): void {
    if (equalEndpoint(datagram.to, RELAY_ADDRESS)) {
      const label = this.labels.get(datagram.index);
      if (label) this.#hop({ ...datagram, from: RELAY_ADDRESS, to: label.to(), index: label.index });
      return;
    }
    const side = [this.a, this.b].find(({ address }) => equalEndpoint(address, datagram.to));
    if (side) this.#deliver(side, datagram);
  }

  #deliver(side: Side, datagram: Datagram): void {
    const index = side.engine.indexes.get(datagram.index);
    const session = index && side.engine.sessions.get(index.session);
    if (index === undefined || session === undefined) return;
    if (!datagram.plain && !session.phases.has(datagram.phase)) return;
    const arrival = {
      session: index.session,
      tag: index.tag,
      phase: datagram.phase,
      plain: datagram.plain,
      wireLength: datagram.size,
      source: () => datagram.from,
    };
    side.link.onArrival(arrival, this.now);
    if (datagram.message) {
      const drop = side.link.onMessage(arrival, datagram.message, this.now);
      if (drop !== undefined) side.drops.push(drop);
    } else if (datagram.plain && !side.link.takesPlain(arrival)) side.refusedPlain++;
    else {
      side.link.onUse(this.now);
      side.frames.push({ number: datagram.frame, plain: datagram.plain });
    }
    const direct = side.engine.directAddress.get(index.session);
    if (
      index.roams &&
      !datagram.plain &&
      direct &&
      formatEndpoint(direct) !== formatEndpoint(datagram.from)
    ) {
      side.link.onRoamed(index.session, datagram.from, this.now);
    }
    this.#pump();
  }
}
