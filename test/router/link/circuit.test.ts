import test from 'ava';
import { Counters } from '../../../core/counters.ts';
import type { PeerName } from '../../../core/peer-name.ts';
import { SeededRandom } from '../../../core/random.ts';
import { Circuits } from '../../../router/link/circuit.ts';
import type { CircuitDrop } from '../../../router/link/circuit.ts';
import {
  MAX_CIRCUIT_PEERS,
  REFUSALS,
  encodeCircuitMessage,
  parseCircuitMessage,
} from '../../../router/link/circuit-message.ts';
import type { CircuitMessage } from '../../../router/link/circuit-message.ts';
import { circuitRoute, isDirectEdge } from '../../../router/link/circuit-route.ts';
import { IndexAllocator } from '../../../router/link/index-allocator.ts';
import type { ToData } from '../../../router/node-messages.ts';
import { nameOf, routesOf } from './routes-of.ts';
import type { TestEdge } from './routes-of.ts';

const [A, B, C, D] = [1, 2, 3, 4].map(nameOf) as [PeerName, PeerName, PeerName, PeerName];
const ID = '0011223344556677';
/** The one session that every node has with every other, and its name. */
const SESSION = 5;
const NAME = 'aabbccddeeff0011';

interface Node {
  readonly circuits: Circuits;
  readonly counters: Counters<CircuitDrop>;
  readonly indexes: IndexAllocator;
  readonly data: ToData[];
  hasSession: boolean;
}

/** Nodes 1..count whose control messages reach each other at once; `lost` swallows some of them. */
class Mesh {
  readonly nodes = new Map<PeerName, Node>();
  lost: (from: PeerName, to: PeerName, message: CircuitMessage) => boolean = () => false;

  constructor(count: number, direct: readonly TestEdge[], established: readonly TestEdge[] = []) {
    for (let i = 1; i <= count; i++) {
      const self = nameOf(i);
      const random = new SeededRandom(i);
      const indexes = new IndexAllocator(random);
      const counters = new Counters<CircuitDrop>();
      const ifAny = <T>(answer: T) => (this.nodes.get(self)!.hasSession ? answer : undefined);
      const sessions = {
        nameOf: (_peer: PeerName, id: number) => ifAny(id === SESSION ? NAME : undefined),
        idOf: (_peer: PeerName, name: string) => ifAny(name === NAME ? SESSION : undefined),
      };
      const circuits = new Circuits({ self, random, indexes, counters, sessions });
      circuits.onRoutes(routesOf(self, count, direct, established), 0);
      this.nodes.set(self, { circuits, counters, indexes, data: [], hasSession: true });
    }
  }

  node(name: PeerName): Node {
    return this.nodes.get(name)!;
  }

  /** Carries messages until none is left. */
  settle(now = 0): void {
    for (let moved = true; moved;) {
      moved = false;
      for (const [from, node] of this.nodes) {
        for (const effect of node.circuits.drain()) {
          moved = true;
          if (effect.type === 'to-data') node.data.push(effect.message);
          else if (!this.lost(from, effect.to, parseCircuitMessage(effect.bytes)!)) {
            this.node(effect.to).circuits.onMessage(from, effect.bytes, now);
          }
        }
      }
    }
  }

  /** Lets virtual time pass until nobody waits for anything. */
  runTimers(): number {
    let now = 0;
    for (;;) {
      const times = [...this.nodes.values()].map(({ circuits }) => circuits.nextTimeout() ?? Infinity);
      if (Math.min(...times) === Infinity) return now;
      now = Math.min(...times);
      for (const { circuits } of this.nodes.values()) circuits.onTimeout(now);
      this.settle(now);
    }
  }

  find<T extends ToData['type']>(name: PeerName, type: T): Extract<ToData, { type: T }>[] {
    return this.node(name).data.filter((message) => message.type === type) as Extract<ToData, { type: T }>[];
  }
}

/** A and D joined through B, and the longer way through B and C. */
const line: TestEdge[] = [
  [A, B],
  [B, C],
  [C, D],
];

test('a circuit joins both ends by labels: what one end sends arrives as the alias of the other', (t) => {
  const mesh = new Mesh(4, line);
  mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
  mesh.settle();
  const [near] = mesh.find(A, 'circuit');
  const [far] = mesh.find(D, 'circuit');
  t.deepEqual([near?.session, near?.route], [SESSION, [B, C]]);
  t.deepEqual([far?.session, far?.route], [SESSION, [C, B]]);
  t.is(follow(mesh, A, B, near!.sendIndex), `${D} ${far!.alias}`);
  t.is(follow(mesh, D, C, far!.sendIndex), `${A} ${near!.alias}`);
  t.is(mesh.find(B, 'label').length, 2);
});

/** Where a datagram with `index` ends that `from` sends to `to`. */
function follow(mesh: Mesh, from: PeerName, to: PeerName, index: number): string {
  const label = mesh.find(to, 'label').find((entry) => entry.index === index && entry.previous === from);
  return label === undefined ? `${to} ${index}` : follow(mesh, to, label.next, label.nextIndex);
}

test('a second need while one circuit is being opened changes nothing', (t) => {
  const mesh = new Mesh(4, line);
  mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
  mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
  mesh.settle();
  t.is(mesh.find(A, 'circuit').length, 1);
});

test('where no relay has direct links the data plane is told', (t) => {
  const mesh = new Mesh(3, [[A, B]], [[B, C]]);
  mesh.node(A).circuits.onNeed(C, SESSION, [], 0);
  mesh.settle();
  t.is(mesh.find(A, 'circuit-failed')[0]?.peer, C);
});

test('a circuit that found no way is opened as soon as there is one', (t) => {
  const mesh = new Mesh(3, [[A, B]], [[B, C]]);
  mesh.node(A).circuits.onNeed(C, SESSION, [], 0);
  mesh.settle();
  for (const self of [C, B, A])
    mesh.node(self).circuits.onRoutes(routesOf(self, 3, line.slice(0, 2), []), 5_000);
  mesh.settle();
  t.deepEqual(mesh.find(A, 'circuit')[0]?.route, [B]);
  mesh.node(A).circuits.onRoutes(routesOf(A, 3, line.slice(0, 2), []), 6_000);
  mesh.settle();
  t.is(mesh.find(A, 'circuit').length, 1);
});

test('a circuit that the data plane has not asked for in half a minute is not opened any more', (t) => {
  const mesh = new Mesh(3, [[A, B]], [[B, C]]);
  mesh.node(A).circuits.onNeed(C, SESSION, [], 0);
  mesh.settle();
  for (const self of [C, B, A])
    mesh.node(self).circuits.onRoutes(routesOf(self, 3, line.slice(0, 2), []), 30_000);
  mesh.settle();
  t.deepEqual(mesh.find(A, 'circuit'), []);
});

test('an edge that failed is avoided if there is a way round it, and else tried again', (t) => {
  const avoid: TestEdge[] = [[A, B]];
  const square = new Mesh(4, [...line, [A, C], [B, D]]);
  square.node(A).circuits.onNeed(D, SESSION, avoid, 0);
  square.settle();
  t.deepEqual(square.find(A, 'circuit')[0]?.route, [C]);
  const mesh = new Mesh(4, line);
  mesh.node(A).circuits.onNeed(D, SESSION, avoid, 0);
  mesh.settle();
  t.deepEqual(mesh.find(A, 'circuit')[0]?.route, [B, C]);
});

test('a relay whose own view of an edge differs refuses, and the initiator goes round that edge', (t) => {
  const square: TestEdge[] = [...line, [A, C], [B, D]];
  const mesh = new Mesh(4, square);
  mesh.node(B).circuits.onRoutes(routesOf(B, 4, [...line, [A, C]], [[B, D]]), 0);
  mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
  mesh.settle();
  t.deepEqual(mesh.find(A, 'circuit')[0]?.route, [C]);
  t.is(mesh.node(B).indexes.used, 0);
});

test('a relay that does not answer is gone round after its time, and nothing stays behind', (t) => {
  const mesh = new Mesh(4, [...line, [A, C], [B, D]]);
  mesh.lost = (from, to, message) => from === B && to === D && message.type === 'open';
  mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
  mesh.settle();
  t.is(mesh.find(A, 'circuit').length, 0);
  t.is(mesh.runTimers(), 4_000);
  t.deepEqual(mesh.find(A, 'circuit')[0]?.route, [C]);
  t.is(mesh.node(B).circuits.size, 0);
  t.is(mesh.node(B).indexes.used, 0);
});

test('a circuit being opened through a relay whose session ended goes another way at once', (t) => {
  const mesh = new Mesh(4, [...line, [A, C], [B, D]]);
  mesh.lost = (from, to) => from === B && to === D;
  mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
  mesh.settle();
  mesh.node(A).circuits.onSessionEnded(B, 0);
  mesh.settle();
  t.deepEqual(
    mesh.find(A, 'circuit').map(({ route }) => route),
    [[C]],
  );
  t.is(mesh.node(B).circuits.size, 0);
  t.is(mesh.node(A).indexes.used, 1);
});

test('a circuit being opened to a peer whose session ended is given up', (t) => {
  const mesh = new Mesh(4, line);
  mesh.lost = (_from, to) => to === D;
  mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
  mesh.settle();
  mesh.node(A).circuits.onSessionEnded(D, 0);
  mesh.settle();
  t.deepEqual(
    [A, B, C].map((name) => mesh.node(name).circuits.size),
    [0, 0, 0],
  );
  t.is(mesh.node(A).indexes.used, 0);
  t.deepEqual(mesh.node(A).data, []);
});

test('an initiator that hears nothing gives up in the end and releases its aliases', (t) => {
  const mesh = new Mesh(4, [...line, [A, C], [B, D]]);
  mesh.lost = (from) => from === A;
  mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
  mesh.settle();
  mesh.runTimers();
  t.is(mesh.find(A, 'circuit-failed').length, 1);
  t.is(mesh.node(A).indexes.used, 0);
  t.is(mesh.node(A).circuits.size, 0);
});

test('a circuit for a session that was replaced is not begun', (t) => {
  const mesh = new Mesh(4, line);
  mesh.node(A).circuits.onNeed(D, SESSION + 1, [], 0);
  mesh.settle();
  t.is(mesh.find(A, 'circuit-failed').length, 1);
  t.is(mesh.node(B).circuits.size, 0);
});

test('the end refuses a circuit for a session that it does not hold', (t) => {
  const mesh = new Mesh(4, line);
  mesh.node(D).hasSession = false;
  mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
  mesh.settle();
  t.regex(mesh.find(A, 'circuit-failed')[0]!.reason, /no-session/);
  t.is(mesh.node(C).circuits.size, 0);
});

for (const [what, end] of [
  ['its initiator no longer uses it', (m: Mesh) => m.node(A).circuits.onCircuitEnded(D, 1, 0)],
  ['its far end no longer uses it', (m: Mesh) => m.node(D).circuits.onCircuitEnded(A, 1, 0)],
  ['the session between two relays ends', (m: Mesh) => m.node(B).circuits.onSessionEnded(C, 0)],
  ['the session with the first relay ends', (m: Mesh) => m.node(A).circuits.onSessionEnded(B, 0)],
  ['the session between the ends ends', (m: Mesh) => m.node(D).circuits.onSessionEnded(A, 0)],
] as const) {
  test(`a circuit ends everywhere when ${what}`, (t) => {
    const mesh = new Mesh(4, line);
    mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
    mesh.settle();
    end(mesh);
    mesh.settle();
    for (const { circuits, indexes } of mesh.nodes.values()) {
      t.is(circuits.size, 0);
      t.is(indexes.used, 0);
    }
    t.is(mesh.find(B, 'label-removed').length, 2);
    t.is(mesh.find(C, 'label-removed').length, 2);
  });
}

test('a circuit ends when both labels of a relay are idle, not when one is', (t) => {
  const mesh = new Mesh(4, line);
  mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
  mesh.settle();
  const [one, other] = mesh.find(B, 'label').map(({ index }) => index) as [number, number];
  mesh.node(B).circuits.onLabelIdle(one, 60_000);
  mesh.node(B).circuits.onLabelIdle(one, 120_000);
  mesh.settle();
  t.is(mesh.node(B).circuits.size, 1);
  mesh.node(B).circuits.onLabelIdle(other, 200_000);
  mesh.settle();
  t.is(mesh.node(B).circuits.size, 1, 'the first report is too old to count');
  mesh.node(B).circuits.onLabelIdle(one, 230_000);
  mesh.settle();
  t.is(mesh.node(B).circuits.size, 0);
  t.is(mesh.find(A, 'circuit-closed').length, 1);
  t.is(mesh.find(D, 'circuit-closed').length, 1);
});

test('what strangers to a circuit say of it is ignored', (t) => {
  const mesh = new Mesh(4, line);
  mesh.node(A).circuits.onNeed(D, SESSION, [], 0);
  let id = '';
  mesh.lost = (_from, _to, message) => {
    id = message.id;
    return false;
  };
  mesh.settle();
  for (const victim of [A, B, C, D]) {
    for (const message of [
      { type: 'close', id },
      { type: 'opened', id, index: 99 },
      { type: 'refused', id, position: 0, reason: 'malformed' },
    ] as const) {
      mesh.node(victim).circuits.onMessage(nameOf(9), encodeCircuitMessage(message), 0);
    }
    t.is(mesh.node(victim).circuits.size, 1);
  }
});

test('opens that do not fit their receiver are refused', (t) => {
  const mesh = new Mesh(4, line);
  const open = { type: 'open', id: ID, session: NAME, position: 1, index: 5, path: [A, B, C] } as const;
  const tried: [PeerName, CircuitMessage, string][] = [
    [C, open, 'malformed'],
    [A, { ...open, position: 2 }, 'malformed'],
    [A, { ...open, path: [A, B, D] }, 'edge-not-direct'],
    [A, open, ''],
    [A, open, 'duplicate'],
  ];
  for (const [from, message, reason] of tried) {
    const { circuits } = mesh.node(B);
    circuits.onMessage(from, encodeCircuitMessage(message), 0);
    const sent = circuits.drain().flatMap((e) => (e.type === 'send' ? [parseCircuitMessage(e.bytes)!] : []));
    t.is(sent[0]?.type === 'refused' ? sent[0].reason : '', reason);
  }
});

test('one neighbour cannot make a relay hold more than its share of circuits', (t) => {
  const mesh = new Mesh(4, line);
  for (let i = 0; i < 600; i++) {
    const id = i.toString(16).padStart(16, '0');
    const open = { type: 'open', id, session: NAME, position: 1, index: 5, path: [A, B, C] } as const;
    mesh.node(B).circuits.onMessage(A, encodeCircuitMessage(open), 0);
  }
  t.is(mesh.node(B).circuits.size, 512);
});

test('one peer cannot open more than eight circuits to an end', (t) => {
  const mesh = new Mesh(4, line);
  for (let i = 0; i < 10; i++) {
    const id = `000000000000000${i}`;
    const open = { type: 'open', id, session: NAME, position: 2, index: 5, path: [A, B, C] } as const;
    mesh.node(C).circuits.onMessage(B, encodeCircuitMessage(open), 0);
  }
  t.is(mesh.node(C).circuits.size, 8);
});

const samples: CircuitMessage[] = [
  { type: 'open', id: ID, session: NAME, position: 1, index: 0xffffffff, path: [A, B, C] },
  { type: 'opened', id: ID, index: 1 },
  ...(Object.keys(REFUSALS) as (keyof typeof REFUSALS)[]).map(
    (reason) => ({ type: 'refused', id: ID, position: 2, reason }) as const,
  ),
  { type: 'close', id: ID },
];

test('circuit messages are read as they were written, and no truncation of them is', (t) => {
  for (const message of samples) {
    const bytes = encodeCircuitMessage(message);
    t.deepEqual(parseCircuitMessage(bytes), message);
    for (let i = 0; i < bytes.length; i++) t.is(parseCircuitMessage(bytes.subarray(0, i)), undefined);
    t.is(parseCircuitMessage(Uint8Array.of(...bytes, 0)), undefined);
  }
});

for (const [what, change] of [
  ['a name that repeats', { path: [A, B, A] }],
  ['two peers', { path: [A, B] }],
  ['too many peers', { path: Array.from({ length: MAX_CIRCUIT_PEERS + 1 }, (_, i) => nameOf(i + 1)) }],
  ['a position outside it', { position: 3 }],
  ['the initiator as its receiver', { position: 0 }],
  ['index 0', { index: 0 }],
] as const) {
  test(`an open with ${what} is malformed`, (t) => {
    const open = {
      type: 'open',
      id: ID,
      session: NAME,
      position: 1,
      index: 5,
      path: [A, B, C],
      ...change,
    } as const;
    t.is(parseCircuitMessage(encodeCircuitMessage(open)), undefined);
  });
}

test('malformed messages and those of unknown circuits are counted', (t) => {
  const { circuits, counters } = new Mesh(4, line).node(A);
  const random = new SeededRandom(5);
  for (let i = 0; i < 1_000; i++) circuits.onMessage(B, random.bytes(i % 40), 0);
  circuits.onMessage(B, encodeCircuitMessage({ type: 'close', id: ID }), 0);
  t.is(counters.get('circuit-malformed') + counters.get('circuit-unknown'), 1_001);
  t.true(counters.get('circuit-unknown') >= 1);
});

test('a route is the shortest over direct edges, the lowest names first, never the edge between the ends', (t) => {
  const edges: TestEdge[] = [...line, [A, D], [A, C], [B, D]];
  const routes = routesOf(A, 4, edges);
  t.deepEqual(circuitRoute(routes, D, []), [A, B, D]);
  t.deepEqual(circuitRoute(routes, D, [[D, B]]), [A, C, D]);
  t.deepEqual(
    circuitRoute(routes, D, [
      [B, D],
      [A, C],
    ]),
    [A, B, C, D],
  );
  t.is(
    circuitRoute(routes, D, [
      [A, B],
      [C, A],
    ]),
    undefined,
  );
  t.is(circuitRoute(routes, A, []), undefined);
  t.is(circuitRoute(routes, nameOf(9), []), undefined);
});

test('an edge that is established only is no direct edge', (t) => {
  const routes = routesOf(A, 3, [[A, B]], [[B, C]]);
  t.true(isDirectEdge(routes, B, A));
  t.false(isDirectEdge(routes, B, C));
  t.false(isDirectEdge(routes, A, C));
  t.false(isDirectEdge(routes, A, nameOf(9)));
  t.is(circuitRoute(routes, C, []), undefined);
});
