import test from 'ava';
import type { PeerName } from '../../../core/peer-name.ts';
import { SeededRandom } from '../../../core/random.ts';
import { LinkControl } from '../../../router/link/link-control.ts';
import type { LinkControlEffect } from '../../../router/link/link-control.ts';
import { meshOf } from '../../../router/link/mesh-choice.ts';
import type { RemoteEnd } from '../../../router/link/offer-handshake.ts';
import { Pins } from '../../../router/link/pins.ts';
import { localEnd } from './local-end.ts';
import { nameOf, routesOf } from './routes-of.ts';
import type { TestEdge } from './routes-of.ts';

const MINUTE = 60_000;

class End {
  readonly name: PeerName;
  readonly links: LinkControl;
  readonly remote: RemoteEnd;
  readonly effects: LinkControlEffect[] = [];

  constructor(number: number) {
    const random = new SeededRandom(number);
    const name = nameOf(number);
    const local = localEnd(number, random.bytes(8), random);
    const { uid, staticKey } = local;
    this.name = name;
    this.links = new LinkControl({ local, pins: new Pins(), isSparse: () => false });
    this.remote = { name, uid, incarnation: 1, staticKey: staticKey.public, addresses: [] };
  }

  /** From the neighbour itself. */
  hear(from: End, { kind, bytes }: { readonly kind: string; readonly bytes: Uint8Array }, now: number): void {
    this.links.onUnicast({ from: from.name, via: from.name, kind, bytes }, now);
  }

  /** Takes what was to be sent; keeps everything else. */
  unicasts(): Extract<LinkControlEffect, { type: 'unicast' }>[] {
    const effects = this.links.drain();
    this.effects.push(...effects);
    return effects.filter((effect) => effect.type === 'unicast');
  }

  toData(type: string): unknown[] {
    return this.effects.filter((effect) => effect.type === 'to-data' && effect.message.type === type);
  }
}

function settle(a: End, b: End, now: number): void {
  for (let i = 0; i < 6; i++) {
    for (const unicast of a.unicasts()) b.hear(a, unicast, now);
    for (const unicast of b.unicasts()) a.hear(b, unicast, now);
  }
}

const EDGE: TestEdge[] = [[nameOf(1), nameOf(2)]];

/** Two ends that see each other in the topology and have a session. */
function joined(): [End, End] {
  const [a, b] = [new End(1), new End(2)];
  a.links.onPeer(b.remote, 0);
  b.links.onPeer(a.remote, 0);
  a.links.onRoutes(routesOf(a.name, 2, EDGE), 0);
  b.links.onRoutes(routesOf(b.name, 2, EDGE), 0);
  settle(a, b, 0);
  return [a, b];
}

test('routes bring about a session with every peer of a small mesh, whichever comes first', (t) => {
  const [a, b] = joined();
  t.is(a.toData('session').length, 1);
  t.is(b.toData('session').length, 1);
  const late = new End(1);
  late.links.onRoutes(routesOf(late.name, 2, EDGE), 0);
  late.links.onPeer(b.remote, 0);
  t.is(late.unicasts()[0]?.kind, 'offer');
});

test('hostile messages of every kind are counted, and none reaches the data plane', (t) => {
  const [a, b] = joined();
  const before = a.effects.length;
  const random = new SeededRandom(6);
  for (const kind of ['offer', 'answer', 'circuit', 'nonsense']) {
    for (let i = 0; i < 200; i++) a.hear(b, { kind, bytes: random.bytes(i) }, 1_000);
  }
  const { drops } = a.links;
  t.is(drops['link-kind-unknown'], 200);
  t.is((drops['circuit-malformed'] ?? 0) + (drops['circuit-unknown'] ?? 0), 200);
  t.true((drops['offer-malformed'] ?? 0) >= 199);
  t.true((drops['answer-malformed'] ?? 0) >= 199);
  t.deepEqual(a.unicasts(), []);
  t.is(a.effects.length, before);
});

test('a circuit message that came by way of another than it names is counted and ignored', (t) => {
  const [a, b] = joined();
  const close = { kind: 'circuit', bytes: Uint8Array.of(4, ...new Uint8Array(8)) };
  a.hear(b, close, 1_000);
  t.is(a.links.drops['circuit-unknown'], 1);
  for (const via of [nameOf(3), undefined]) a.links.onUnicast({ from: b.name, via, ...close }, 1_000);
  t.is(a.links.drops['circuit-indirect'], 2);
  t.is(a.links.drops['circuit-unknown'], 1);
});

test('a replayed offer neither makes a session nor disturbs the one that is there', (t) => {
  const [a, b] = [new End(1), new End(2)];
  a.links.onPeer(b.remote, 0);
  b.links.onPeer(a.remote, 0);
  a.links.onData({ type: 'need-session', peer: b.name }, 0);
  const [offer] = a.unicasts();
  for (let i = 0; i < 5; i++) b.hear(a, offer!, i);
  t.is(b.unicasts().length, 1);
  t.is(b.toData('session').length, 1);
  t.is(b.links.drops['offer-replayed'], 4);
});

test('a link that went down is offered a new session, and its direct flag is published', (t) => {
  const [a, b] = joined();
  a.links.onData({ type: 'session-live', peer: b.name, id: 1 }, 100);
  a.links.onData({ type: 'link-changed', peer: b.name, state: 'down', direct: false }, MINUTE);
  t.is(a.unicasts()[0]?.kind, 'offer');
  t.deepEqual(a.effects.filter(({ type }) => type === 'link-changed').at(-1), {
    type: 'link-changed',
    peer: b.name,
    up: false,
    direct: false,
  });
});

test('a session is closed ten minutes after its peer left the graph, unless it comes back', (t) => {
  const [a, b] = joined();
  const alone = routesOf(a.name, 1, []);
  a.links.onRoutes(alone, MINUTE);
  a.links.onRoutes(routesOf(a.name, 2, EDGE), 2 * MINUTE);
  a.links.onPeerGone(b.name, 2 * MINUTE);
  t.is(a.links.nextTimeout(), undefined);
  a.links.onRoutes(alone, 3 * MINUTE);
  t.is(a.links.nextTimeout(), 13 * MINUTE);
  a.links.onTimeout(13 * MINUTE - 1);
  a.unicasts();
  t.is(a.toData('session-closed').length, 0);
  a.links.onTimeout(13 * MINUTE);
  a.unicasts();
  t.is(a.toData('session-closed').length, 1);
  t.is(a.links.nextTimeout(), undefined);
});

for (const { droppedAt, madeAt, lasts } of [
  { droppedAt: 20 * MINUTE, madeAt: 0, lasts: MINUTE / 4 },
  { droppedAt: 10 * MINUTE + 1, madeAt: 0, lasts: MINUTE / 4 },
  { droppedAt: 10 * MINUTE + 1, madeAt: 15 * MINUTE, lasts: MINUTE / 4 },
  { droppedAt: 10 * MINUTE, madeAt: 0, lasts: 10 * MINUTE },
  { droppedAt: 10 * MINUTE, madeAt: 15 * MINUTE, lasts: 10 * MINUTE },
]) {
  const when = `${(20 * MINUTE - droppedAt) / 1_000} s after a password was dropped`;
  const age = madeAt < droppedAt ? 'older' : 'newer';
  test(`when its peer leaves ${when}, a session that is ${age} lasts ${lasts / 1_000} s`, (t) => {
    const [a, b] = [new End(1), new End(2)];
    if (droppedAt < madeAt) a.links.onPasswordDropped(droppedAt);
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      one.links.onPeer(other.remote, madeAt);
      one.links.onRoutes(routesOf(one.name, 2, EDGE), madeAt);
    }
    settle(a, b, madeAt);
    if (droppedAt >= madeAt) a.links.onPasswordDropped(droppedAt);
    a.links.onPeerGone(b.name, 20 * MINUTE);
    a.links.onRoutes(routesOf(a.name, 1, []), 20 * MINUTE);
    t.is(a.links.nextTimeout(), 20 * MINUTE + lasts);
    a.links.onTimeout(20 * MINUTE + lasts - 1);
    a.unicasts();
    t.is(a.toData('session-closed').length, 0);
    a.links.onTimeout(20 * MINUTE + lasts);
    a.links.onData({ type: 'rekey-due', peer: b.name, session: 1, phase: 1 }, 21 * MINUTE + lasts);
    a.unicasts();
    t.is(a.toData('session-closed').length, 1);
    t.is(a.toData('rekey-message').length, 0, 'and is not rekeyed');
  });
}

test('a session with a peer that is already out of the graph ends like any other', (t) => {
  const [a, b] = [new End(1), new End(2)];
  a.links.onRoutes(routesOf(a.name, 1, []), 0);
  b.links.onRoutes(routesOf(b.name, 1, []), 0);
  a.links.onPeer(b.remote, 0);
  b.links.onPeer(a.remote, 0);
  a.links.onData({ type: 'need-session', peer: b.name }, 0);
  settle(a, b, 0);
  t.is(a.toData('session').length, 1);
  a.links.onPeerGone(b.name, MINUTE);
  t.is(a.links.nextTimeout(), 10 * MINUTE);
});

test('indexes that the data plane gives back may be given out again', (t) => {
  const [a, b] = joined();
  const session = a.effects.flatMap((effect) =>
    effect.type === 'to-data' && effect.message.type === 'session' ? [effect.message.session] : [],
  )[0]!;
  t.notThrows(() => a.links.onData({ type: 'indexes-released', indexes: [session.localIndex, 5] }, 0));
  t.is(b.links.circuits, 0);
});

test('stopping closes every session', (t) => {
  const [a] = joined();
  a.links.stop(0);
  a.unicasts();
  t.is(a.toData('session-closed').length, 1);
});

test('a mesh that is sparse has links on the backbone only, one that is not has them to all', (t) => {
  const star = (count: number) =>
    routesOf(
      nameOf(1),
      count,
      [[nameOf(1), nameOf(2)]],
      Array.from({ length: count - 1 }, (_, i) => [nameOf(2), nameOf(i + 1)] as const),
    );
  t.is(meshOf(star(10), false).size, 9);
  t.deepEqual([...meshOf(star(10), true)], [nameOf(2)]);
});

test('the data plane is told which links the mesh asks for, whenever that changes', (t) => {
  const a = new End(1);
  const told = () => {
    a.unicasts();
    return a.toData('links-kept').length;
  };
  a.links.onRoutes(routesOf(a.name, 2, EDGE), 0);
  a.links.onRoutes(routesOf(a.name, 2, []), 1);
  t.is(told(), 1);
  a.links.onRoutes(routesOf(a.name, 3, []), 2);
  t.is(told(), 2);
  const last = a.effects.findLast(({ type }) => type === 'to-data');
  t.deepEqual(last, { type: 'to-data', message: { type: 'links-kept', peers: [nameOf(2), nameOf(3)] } });
});

test('a peer that gave an unused link up is left alone', (t) => {
  const [a, b] = joined();
  a.links.onData({ type: 'session-live', peer: b.name, id: 1 }, 100);
  a.links.onData({ type: 'link-unused', peer: b.name }, MINUTE);
  a.links.onData({ type: 'link-changed', peer: b.name, state: 'idle', direct: false }, MINUTE);
  t.deepEqual(a.unicasts(), []);
  t.is(a.links.nextTimeout(), undefined);
});
