import test from 'ava';
import { formatEndpoint, type Endpoint } from '../../../core/address.ts';
import type { PeerName } from '../../../core/peer-name.ts';
import { SeededRandom } from '../../../core/random.ts';
import type { Engine, EngineChange } from '../../../router/engine/port.ts';
import { EngineQueue } from '../../../router/link/engine-queue.ts';
import { Links } from '../../../router/link/links.ts';
import { Numbers } from '../../../router/link/numbers.ts';
import { A, B, RELAY, endpoint } from './link-net.ts';

/** The links of a node over an engine of which only the paths are kept: number -> where to. */
class Bench {
  readonly paths = new Map<number, Endpoint>();
  readonly links: Links;

  constructor() {
    const engine = {
      configure: (changes: readonly EngineChange[]) => changes.forEach((c) => this.#apply(c)),
    };
    const ignore = () => undefined;
    this.links = new Links(
      {
        self: RELAY,
        bridgeMtu: 1_388,
        trustedSubnets: [],
        random: new SeededRandom(1),
        paths: new Numbers(),
        sessions: new Numbers(),
      },
      new EngineQueue({ ...engine, send: ignore } as unknown as Engine),
      {
        workers: 1,
        tellLane: ignore,
        tell: ignore,
        onSendable: ignore,
        onHopeless: ignore,
        onPeerMacs: ignore,
      },
    );
  }

  /** Number and address of each path. */
  get told(): string[] {
    return [...this.paths].map(([path, to]) => entry(path, to)).sort();
  }

  connect(peer: PeerName, index: number, ...candidates: Endpoint[]): void {
    const session = {
      id: index,
      initiator: true,
      lanes: 1,
      keys: { send: new Uint8Array(32), receive: new Uint8Array(32) },
      cookies: undefined,
      localIndex: index,
      remoteIndex: index,
      candidates,
      remoteBridgeMtu: 1_388,
      remoteTrusted: [],
    };
    this.links.onControl({ type: 'session', peer, session }, 0);
    this.links.settle(0);
  }

  #apply(change: EngineChange): void {
    if (change.type === 'path') this.paths.set(change.path, change.to);
    if (change.type === 'path-removed') this.paths.delete(change.path);
  }
}

const [HOME, AWAY, FURTHER, THERE] = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'].map(endpoint) as [
  Endpoint,
  Endpoint,
  Endpoint,
  Endpoint,
];

test('a path of another link that comes before the end of one is not mistaken for it', (t) => {
  const bench = new Bench();
  const { links } = bench;
  bench.connect(A, 16, THERE);
  bench.connect(B, 32, HOME);
  t.deepEqual(bench.told, [entry(1, THERE), entry(2, HOME)]);
  // B is looked at first, as it had an input first.
  links.touch(B, 0);
  links.onControl({ type: 'session-closed', peer: A, notify: false }, 0);
  links.onRoamed(2, AWAY, 0);
  links.settle(0);
  t.deepEqual(bench.told, [entry(2, HOME), entry(3, AWAY)]);
  links.onRoamed(2, FURTHER, 0);
  links.settle(0);
  t.deepEqual(bench.told, [entry(1, FURTHER), entry(2, HOME), entry(3, AWAY)], 'the number is free by now');
});

test('the number of a circuit that leads nowhere is free when it is closed', (t) => {
  const bench = new Bench();
  const { links } = bench;
  bench.connect(B, 32, HOME);
  const circuit = { session: 32, circuit: 7, route: [RELAY, A, B], alias: 48, sendIndex: 64 };
  links.onControl({ type: 'circuit', peer: B, ...circuit }, 0);
  links.settle(0);
  t.deepEqual(bench.told, [entry(1, HOME)], 'there is no way to its first relay');
  links.onControl({ type: 'circuit-closed', peer: B, circuit: 7 }, 0);
  links.settle(0);
  links.onRoamed(1, AWAY, 0);
  links.settle(0);
  t.deepEqual(bench.told, [entry(1, HOME), entry(2, AWAY)]);
});

test('a session takes a number that another one had', (t) => {
  const bench = new Bench();
  const { links } = bench;
  bench.connect(A, 16, THERE);
  links.onControl({ type: 'session-closed', peer: A, notify: false }, 0);
  links.settle(0);
  bench.connect(B, 32, HOME);
  t.is(links.ofSession(1)?.peer, B);
});

function entry(path: number, to: Endpoint): string {
  return `${path} to ${formatEndpoint(to)}`;
}
