import { parseEndpoint } from '../../core/address.ts';
import { SeededRandom } from '../../core/random.ts';
import { encodeMessage, parseMessage } from '../../gossip/messages.ts';
import { parseInitMode } from '../../ipam/init-mode.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import type { ControlEffect } from '../../router/control-effect.ts';
import { ControlNode } from '../../router/control-node.ts';
import { DataNode } from '../../router/data-node.ts';
import { MemoryEngine } from '../../router/engine/memory.ts';
import type { DataReport } from '../../router/node-messages.ts';
import { encodePreamble } from '../../router/crypto/preamble.ts';
import { Reassembly } from '../../router/switch/reassembly.ts';
import { writeDatagramHeader } from '../../router/wire/datagram.ts';
import { KIND_FRAGMENT, KIND_FRAME, parseLinkMessage } from '../../router/wire/inner.ts';
import { fakeCipher, fullMesh, macsOf } from '../router/data-net.ts';
import { fakePrimitives } from '../sim/fake-primitives.ts';
import * as samples from './samples.ts';
import { OUTSIDE, promise, TAKEN, taken, type Target, type Verdict } from './target.ts';

const MALLORY_AT = parseEndpoint('192.0.2.66', 6783)!;
/** Virtual time between two inputs, so that timers come due among them. */
const STEP = 20;

/** What one input may make a node write: the answers to a `want` for everything that it knows. */
const MOST_WRITTEN = 4 << 20;

/** A whole control plane with one neighbour, which holds no password because there is none, and sends what it likes. */
class HostileNeighbour {
  #node!: ControlNode;
  #now = 0;
  #conn = -1;
  #closed = true;
  #written = 0;
  #documents = 0;

  reset(): void {
    try {
      if (this.#now > 0) this.#checkReports();
    } finally {
      this.#renew();
    }
  }

  #renew(): void {
    this.#now = 0;
    this.#conn = -1;
    const random = new SeededRandom(1);
    const { uid, ...identity } = samples.self;
    this.#node = new ControlNode(
      { ...config(), identity, uid },
      { primitives: fakePrimitives, random, stored: new Map() },
      0,
    );
    this.#greet();
  }

  run(input: Uint8Array): Verdict {
    if (this.#closed) this.#greet();
    this.#written = 0;
    this.#now += STEP;
    this.#node.onBytes(this.#conn, frame(input), this.#now);
    this.#settle();
    this.#node.onWritable(this.#conn, this.#now);
    for (
      let due = this.#node.nextTimeout();
      due !== undefined && due <= this.#now;
      due = this.#node.nextTimeout()
    ) {
      this.#node.onTimeout(this.#now);
      this.#settle();
    }
    promise(this.#written <= MOST_WRITTEN, `${this.#written} bytes were written for ${input.length}`);
    const parsed = parseMessage(input);
    if (parsed.type === 'malformed') {
      promise(this.#closed, 'a malformed message left its connection open');
      return parsed.field.startsWith('not in') ? `${OUTSIDE}no MessagePack` : 'malformed';
    }
    return this.#closed ? 'closed' : TAKEN;
  }

  /** The first message of a new connection, which ends with it. */
  runHello(input: Uint8Array): Verdict {
    this.#connect();
    this.#node.onBytes(this.#conn, frame(input), this.#now);
    this.#settle();
    const parsed = parseMessage(input);
    const taken =
      parsed.type === 'message' && (parsed.message.type === 'hello' || parsed.message.type === 'bye');
    promise(this.#closed || taken || parsed.type === 'unknown', 'something else than a hello was taken');
    if (!this.#closed) this.#node.onClosed(this.#conn, undefined, this.#now);
    this.#settle();
    if (parsed.type === 'malformed') return `${OUTSIDE}malformed`;
    return taken ? TAKEN : 'no hello';
  }

  #connect(): void {
    this.#now += STEP;
    this.#conn += 2;
    this.#closed = false;
    this.#node.onAccepted(this.#conn, MALLORY_AT, this.#now);
    const preamble = encodePreamble({
      versions: { min: 1, max: 1 },
      password: false,
      nonce: new Uint8Array(32).fill(this.#conn),
    });
    this.#node.onBytes(this.#conn, preamble, this.#now);
    this.#settle();
  }

  /** A connection as a member makes it: preamble, hello, our entry. */
  #greet(): void {
    this.#connect();
    const hello = encodeMessage({ ...samples.hello, incarnation: 1 + (this.#conn >> 1) });
    this.#node.onBytes(this.#conn, frame(hello), this.#now);
    this.#settle();
    this.#node.onBytes(this.#conn, frame(samples.neighbourMessages[0]!), this.#now);
    this.#settle();
  }

  #settle(): void {
    for (let effects = this.#node.drain(); effects.length > 0; effects = this.#node.drain()) {
      for (const effect of effects) this.#do(effect);
    }
  }

  #do(effect: ControlEffect): void {
    switch (effect.type) {
      case 'dial':
        return this.#node.onDialFailed(effect.conn, 'refused', this.#now);
      case 'write':
        this.#written += effect.bytes.length;
        return;
      case 'close-connection':
        if (effect.conn === this.#conn) this.#closed = true;
        return;
      case 'commit':
        return this.#node.onCommitted(effect.token, this.#now);
      case 'to-data':
        if (effect.message.type !== 'session') return;
        return this.#node.onData(
          { type: 'session-live', peer: effect.message.peer, id: effect.message.session.id },
          this.#now,
        );
      case 'status':
      case 'report':
        this.#documents++;
        promise(JSON.stringify(effect.document, plain).length < 16 << 20, 'a document beyond its bound');
        return;
      default:
        return;
    }
  }

  /** Whatever was let in, the operator can still ask. */
  #checkReports(): void {
    this.#documents = 0;
    this.#node.requestStatus(1, this.#now);
    this.#node.requestReport(2, this.#now);
    this.#node.onTimeout(this.#now + 10_000);
    this.#settle();
    promise(this.#documents === 2, 'no status');
  }
}

function config() {
  const settings = parseIpamSettings('10.32.0.0/16', undefined);
  const init = parseInitMode('consensus=2', 1);
  if ('error' in settings || 'error' in init) throw new Error('bad settings');
  return {
    nickname: 'self',
    version: '1.0',
    port: 6783,
    addresses: [parseEndpoint('192.0.2.1', 6783)!],
    acceptsInbound: true,
    discovery: true,
    connLimit: 0,
    fullMeshLimit: 80,
    bridgeMtu: 1_388,
    workers: 1,
    passwords: [],
    trustedSubnets: [],
    dataPlane: true,
    ipam: { ...settings, init },
  };
}

/** Addresses are numbers that JSON does not have. */
function plain(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

function frame(message: Uint8Array): Uint8Array {
  const out = new Uint8Array(4 + message.length);
  new DataView(out.buffer).setUint32(0, message.length, true);
  out.set(message, 4);
  return out;
}

const KEY_IN = new Uint8Array(32).fill(21);
const KEY_OUT = new Uint8Array(32).fill(22);
const LOCAL_INDEX = 100;
const LABEL = 200;

/** A data plane over an engine in memory, with one peer that seals properly whatever it likes. */
class HostilePeer {
  readonly #sealed: boolean;
  #node!: DataNode;
  #engine!: MemoryEngine;
  #now = 0;
  #counter = 0;
  #sent = 0;
  #delivered = 0;
  #drops: DataReport['drops'] = {};
  /** Gets the fragments too: those that it keeps the node has to keep. */
  #fragments!: Reassembly;
  #refused = false;

  /** `sealed`: inputs are inner messages; otherwise whole datagrams. */
  constructor(sealed: boolean) {
    this.#sealed = sealed;
  }

  async reset(): Promise<void> {
    try {
      if (this.#now > 0) this.#checkBounds();
    } finally {
      await this.#renew();
    }
  }

  async #renew(): Promise<void> {
    [this.#now, this.#counter, this.#drops] = [0, 0, {}];
    this.#fragments = new Reassembly((reason) => {
      if (reason === 'fragment-malformed' || reason === 'fragment-mismatched') this.#refused = true;
    });
    this.#engine = new MemoryEngine({
      cipher: fakeCipher,
      transmit: () => {
        this.#sent++;
        return undefined;
      },
      onHostReceives: () => {
        this.#delivered++;
      },
    });
    const nodeConfig = { name: samples.SELF, bridgeMtu: 1_388, workers: 1, trustedSubnets: [] };
    this.#node = new DataNode(nodeConfig, this.#engine, new SeededRandom(1), 0);
    await this.#engine.open({ tap: 'tap', address: undefined, port: 6783, onReady: () => undefined });
    this.#configure();
  }

  run(input: Uint8Array): Verdict {
    this.#now += STEP;
    [this.#sent, this.#delivered] = [0, 0];
    this.#engine.deliver(MALLORY_AT, this.#sealed ? datagramOf(input, this.#counter++) : input);
    this.#node.onReady(this.#now);
    const verdict = this.#sealed ? this.#innerVerdict(input) : this.#outerVerdict();
    if ((this.#node.nextTimeout() ?? Infinity) <= this.#now) this.#node.onTimeout(this.#now);
    promise(
      this.#sent <= 16 && this.#delivered <= 2,
      `${this.#sent} datagrams, ${this.#delivered} frames of one`,
    );
    promise(this.#node.drain().length <= 200, 'too much was told');
    return verdict;
  }

  #configure(): void {
    const peer = samples.MALLORY;
    const session = {
      id: 1,
      initiator: false,
      keys: { send: KEY_OUT.slice(), receive: KEY_IN.slice() },
      cookies: undefined,
      localIndex: LOCAL_INDEX,
      remoteIndex: 5,
      candidates: [MALLORY_AT],
      remoteBridgeMtu: 1_388,
      remoteTrusted: [],
      lanes: 1,
    };
    const routes = fullMesh([samples.SELF, samples.peer(3), peer], 0, 1);
    this.#node.onControl({ type: 'routes', routes }, 0);
    this.#node.onControl({ type: 'session', peer, session }, 0);
    this.#node.onControl({ type: 'local-macs', macs: macsOf(1, 2) }, 0);
    this.#node.onControl(
      { type: 'label', index: LABEL, previous: peer, next: samples.peer(3), nextIndex: 9 },
      0,
    );
  }

  #outerVerdict(): Verdict {
    const drop = this.#newDrop();
    if (drop === undefined) return TAKEN;
    // It was read, and is not due.
    if (drop === 'rekey-unexpected') return taken(drop);
    return /^(tag|index|key|datagram|counter|label)-/.test(drop) ? OUTSIDE + drop : drop;
  }

  /** Nothing that was sealed properly vanishes: something is done with it, or it is counted. */
  #innerVerdict(input: Uint8Array): Verdict {
    const drop = this.#newDrop();
    if (drop === 'index-unknown') return this.#reopen();
    const [kind, flags] = input;
    if (kind === undefined || flags === undefined) return `${OUTSIDE}too short`;
    if (kind < KIND_FRAME || kind > KIND_FRAGMENT) {
      return parseLinkMessage(kind, flags, input, 2, input.length - 2) === undefined ? 'malformed' : TAKEN;
    }
    const isHeld = kind === KIND_FRAGMENT && this.#isHeld(input);
    if (this.#delivered > 0) return taken('delivered');
    if (drop !== undefined)
      return /^(frame|broadcast|fragment)-malformed$/.test(drop) ? OUTSIDE + drop : drop;
    if (isHeld) return taken('held as a fragment');
    promise(this.#sent > 0, `a message of kind ${kind} vanished`);
    return taken('sent');
  }

  /** A message before closed the session. */
  #reopen(): Verdict {
    this.#configure();
    return `${OUTSIDE}index-unknown`;
  }

  #isHeld(fragment: Uint8Array): boolean {
    this.#refused = false;
    const whole = this.#fragments.add(samples.MALLORY, 0, fragment, 2, fragment.length - 2, this.#now);
    this.#fragments.onTimeout(this.#now);
    return whole === undefined && !this.#refused;
  }

  /** What has been counted since the last call, if anything. */
  #newDrop(): string | undefined {
    const before = this.#drops;
    this.#drops = this.#report().drops;
    return Object.entries(this.#drops).find(([reason, count]) => count > (before[reason] ?? 0))?.[0];
  }

  #report(): DataReport {
    this.#node.onControl({ type: 'report-request', request: 1 }, this.#now);
    return this.#node.drain().find((message) => message.type === 'report')!.report;
  }

  #checkBounds(): void {
    const report = this.#report();
    promise(report.macs <= 65_536 && report.labels <= 1 && report.links.length <= 2, 'state without bound');
    promise(Object.keys(report.drops).length <= 64, 'counters without bound');
  }
}

function datagramOf(inner: Uint8Array, counter: number): Uint8Array {
  const out = new Uint8Array(16 + inner.length + 16);
  writeDatagramHeader(out, 1, 0, LOCAL_INDEX, counter);
  out.set(fakeCipher.seal(KEY_IN, counter, inner), 16);
  return out;
}

export function machineTargets(): Target[] {
  const neighbour = new HostileNeighbour();
  const stranger = new HostileNeighbour();
  const inner = new HostilePeer(true);
  const outer = new HostilePeer(false);
  const innerSamples = [...samples.hotInner, ...samples.linkInner];
  return [
    {
      name: 'control-node',
      samples: samples.neighbourMessages,
      shape: 'msgpack',
      weight: 20,
      run: (input) => neighbour.run(input),
      reset: () => neighbour.reset(),
    },
    {
      name: 'control-hello',
      samples: [samples.hello, { ...samples.hello, acceptsInbound: false, replaces: new Uint8Array(64) }].map(
        encodeMessage,
      ),
      shape: 'msgpack',
      weight: 10,
      run: (input) => stranger.runHello(input),
      reset: () => stranger.reset(),
    },
    {
      name: 'data-node',
      samples: innerSamples,
      shape: 'bytes',
      weight: 40,
      run: (input) => inner.run(input),
      reset: () => inner.reset(),
    },
    {
      name: 'datagram',
      samples: innerSamples.map((one) => datagramOf(one, 0)),
      shape: 'bytes',
      weight: 20,
      run: (input) => outer.run(input),
      reset: () => outer.reset(),
    },
  ];
}
