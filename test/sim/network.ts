import { equalEndpoint, type Endpoint, type IpAddress } from '../../core/address.ts';
import { concatBytes } from '../../core/bytes.ts';
import { randomFraction, type RandomSource } from '../../core/random.ts';
import type { Millis } from '../../core/time.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** What a simulated host offers to the network. Connection numbers are the host's own. */
export interface SimHost {
  readonly endpoint: Endpoint;
  /** A stream is opened to this host, which writes to it by `handle`. */
  onAccepted(remote: Endpoint, handle: SimStreamHandle): StreamEnd;
  onDatagram(from: Endpoint, datagram: Uint8Array): void;
}

/** One end's view of a stream: what the network calls when something arrives. */
export interface StreamEnd {
  onBytes(bytes: Uint8Array): void;
  /** The other end closed, or the host behind it is gone. */
  onClosed(): void;
}

export interface NetworkTerms {
  /** Fraction of datagrams lost; streams are retransmitted and so only delayed. */
  readonly loss: number;
  /** Fraction of datagrams that arrive twice. */
  readonly duplication: number;
  /** One-way delay, uniform between these; datagrams overtake one another. */
  readonly leastDelay: Millis;
  readonly mostDelay: Millis;
}

/** A seeded network of hosts: lossy, reordering datagrams; ordered streams; cuts between pairs, each direction apart. */
export class SimNetwork {
  /** May change while datagrams are under way. */
  terms: NetworkTerms;
  readonly #clock: VirtualClock;
  readonly #random: RandomSource;
  /** By IPv4 address. */
  readonly #hosts = new Map<number, SimHost>();
  /** From which address to which. */
  readonly #cuts = new Map<number, Set<number>>();
  readonly #streams = new Set<SimStream>();

  constructor(clock: VirtualClock, random: RandomSource, terms: NetworkTerms) {
    this.#clock = clock;
    this.#random = random;
    this.terms = terms;
  }

  attach(host: SimHost): void {
    this.#hosts.set(Number(host.endpoint.ip.value), host);
  }

  /** The host vanishes without a word; its streams' other ends notice only by silence. */
  detach(endpoint: Endpoint): void {
    this.#hosts.delete(Number(endpoint.ip.value));
    for (const stream of this.#streams) if (stream.touches(endpoint.ip)) stream.vanish(endpoint.ip);
  }

  cut(from: IpAddress, to: IpAddress): void {
    const cuts = this.#cuts.get(Number(from.value)) ?? new Set();
    this.#cuts.set(Number(from.value), cuts.add(Number(to.value)));
  }

  heal(): void {
    this.#cuts.clear();
    for (const stream of this.#streams) stream.flush();
  }

  isCut(from: IpAddress, to: IpAddress): boolean {
    return this.#cuts.size > 0 && this.#cuts.get(Number(from.value))?.has(Number(to.value)) === true;
  }

  /** The network keeps `datagram`. */
  send(from: Endpoint, to: Endpoint, datagram: Uint8Array): void {
    if (this.isCut(from.ip, to.ip) || randomFraction(this.#random) < this.terms.loss) return;
    const copies = randomFraction(this.#random) < this.terms.duplication ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      this.#clock.after(this.delay(), () => this.#hostAt(to)?.onDatagram(from, datagram));
    }
  }

  /** Opens a stream; `settled` gets the dialler's end, or undefined if nobody listens or the way is cut. */
  dial(
    from: Endpoint,
    to: Endpoint,
    end: StreamEnd,
    settled: (stream: SimStreamHandle | undefined) => void,
  ): void {
    const roundTrip = this.delay() + this.delay();
    this.#clock.after(roundTrip, () => {
      const host = this.#hostAt(to);
      const blocked = this.isCut(from.ip, to.ip) || this.isCut(to.ip, from.ip);
      if (host === undefined || blocked) {
        settled(undefined);
        return;
      }
      const stream = new SimStream(this, this.#clock, from.ip, to.ip, end);
      this.#streams.add(stream);
      stream.onDone = () => this.#streams.delete(stream);
      stream.accept(host.onAccepted(from, stream.handleOf('acceptor')));
      settled(stream.handleOf('dialler'));
    });
  }

  #hostAt(endpoint: Endpoint): SimHost | undefined {
    const host = this.#hosts.get(Number(endpoint.ip.value));
    return host !== undefined && equalEndpoint(host.endpoint, endpoint) ? host : undefined;
  }

  delay(): Millis {
    const { leastDelay, mostDelay } = this.terms;
    return leastDelay + randomFraction(this.#random) * (mostDelay - leastDelay);
  }
}

export interface SimStreamHandle {
  /** The stream keeps `bytes`. */
  write(bytes: Uint8Array): void;
  close(): void;
}

type Side = 'dialler' | 'acceptor';

interface Half {
  readonly from: IpAddress;
  readonly to: IpAddress;
  /** Written and not yet under way: the way is cut. */
  readonly held: Uint8Array[];
  /** When the first of them was sent in vain. */
  stalledAt: Millis | undefined;
  end: StreamEnd | undefined;
  /** What arrives last of all that is under way. */
  last: Arrival | undefined;
  closing: boolean;
}

/** Bytes, and perhaps the end of the stream, that arrive together. */
interface Arrival {
  readonly at: Millis;
  readonly parts: Uint8Array[];
  closes: boolean;
}

/** The first retransmission of what a cut swallowed comes after this, each later one after twice as long. */
const FIRST_RETRANSMISSION: Millis = 200;

/** An ordered, reliable stream. A cut holds bytes back; the first retransmission after it healed lets them go. */
class SimStream {
  readonly #network: SimNetwork;
  readonly #clock: VirtualClock;
  readonly #toAcceptor: Half;
  readonly #toDialler: Half;
  onDone: () => void = () => undefined;

  constructor(
    network: SimNetwork,
    clock: VirtualClock,
    dialler: IpAddress,
    acceptor: IpAddress,
    end: StreamEnd,
  ) {
    this.#network = network;
    this.#clock = clock;
    const half = (from: IpAddress, to: IpAddress, at: StreamEnd | undefined): Half => {
      return { from, to, held: [], stalledAt: undefined, end: at, last: undefined, closing: false };
    };
    this.#toAcceptor = half(dialler, acceptor, undefined);
    this.#toDialler = half(acceptor, dialler, end);
  }

  accept(end: StreamEnd): void {
    this.#toAcceptor.end = end;
    this.#flush(this.#toAcceptor);
  }

  handleOf(side: Side): SimStreamHandle {
    const outward = side === 'dialler' ? this.#toAcceptor : this.#toDialler;
    const inward = side === 'dialler' ? this.#toDialler : this.#toAcceptor;
    return {
      write: (bytes) => {
        outward.held.push(bytes);
        this.#flush(outward);
      },
      close: () => {
        inward.end = undefined;
        outward.closing = true;
        this.#flush(outward);
        this.onDone();
      },
    };
  }

  touches(ip: IpAddress): boolean {
    return ip.value === this.#toAcceptor.from.value || ip.value === this.#toAcceptor.to.value;
  }

  /** The host at `ip` is gone: what is under way to it is lost, and it says nothing any more. */
  vanish(ip: IpAddress): void {
    for (const half of [this.#toAcceptor, this.#toDialler]) {
      if (half.to.value === ip.value) half.end = undefined;
      if (half.from.value === ip.value) half.held.length = 0;
    }
  }

  flush(): void {
    this.#flush(this.#toAcceptor);
    this.#flush(this.#toDialler);
  }

  #flush(half: Half): void {
    if (this.#network.isCut(half.from, half.to)) {
      if (half.held.length > 0) half.stalledAt ??= this.#clock.now;
      return;
    }
    const resumesAt = half.stalledAt === undefined ? 0 : retransmissionAfter(half.stalledAt, this.#clock.now);
    if (resumesAt > this.#clock.now) {
      this.#clock.at(resumesAt, () => this.#flush(half));
      return;
    }
    half.stalledAt = undefined;
    if (half.held.length === 0 && !half.closing) return;
    const arrival = this.#arrivalOn(half);
    arrival.parts.push(...half.held.splice(0));
    arrival.closes ||= half.closing;
    half.closing = false;
  }

  /** Order is kept: what would overtake earlier bytes arrives with them. */
  #arrivalOn(half: Half): Arrival {
    const at = this.#clock.now + this.#network.delay();
    if (half.last !== undefined && half.last.at >= at) return half.last;
    const arrival: Arrival = { at, parts: [], closes: false };
    half.last = arrival;
    this.#clock.at(at, () => {
      if (half.last === arrival) half.last = undefined;
      deliver(half, arrival);
    });
    return arrival;
  }
}

function deliver(half: Half, { parts, closes }: Arrival): void {
  if (parts.length > 0) half.end?.onBytes(parts.length === 1 ? parts[0]! : concatBytes(...parts));
  if (!closes) return;
  const { end } = half;
  half.end = undefined;
  end?.onClosed();
}

/** The first moment not before `now` at which a sender that doubles its pause tries again what it sent at `sentAt`. */
function retransmissionAfter(sentAt: Millis, now: Millis): Millis {
  let pause = FIRST_RETRANSMISSION;
  let at = sentAt + pause;
  while (at < now) at += pause *= 2;
  return at;
}
