import test from 'ava';
import type { PeerName } from '../../../core/peer-name.ts';
import { SeededRandom, randomBelow } from '../../../core/random.ts';
import { LinkControl } from '../../../router/link/link-control.ts';
import type { RemoteEnd } from '../../../router/link/offer-handshake.ts';
import { Pins } from '../../../router/link/pins.ts';
import { keysOf, localEnd } from './local-end.ts';
import { nameOf, routesOf } from './routes-of.ts';
import type { TestEdge } from './routes-of.ts';

const PEERS = 5;
const MAX_PAUSE = 20_000;

/** A member that anything may happen to. Its peers are real ones, whose answers come late, twice or never. */
class Member {
  readonly name: PeerName;
  readonly links: LinkControl;
  readonly random: SeededRandom;

  constructor(number: number, seed: number) {
    const random = new SeededRandom(seed * 100 + number);
    this.random = random;
    this.name = nameOf(number);
    const local = localEnd(number, uidOf(number, 0), random);
    this.links = new LinkControl({ local, pins: new Pins(), isSparse: () => false });
  }
}

function uidOf(number: number, run: number): Uint8Array {
  return Uint8Array.of(number, run, 0, 0, 0, 0, 0, 0);
}

/** Of one of some runs, and sometimes with another key. */
function entryOf(number: number, random: SeededRandom): RemoteEnd {
  const run = randomBelow(random, 8) === 0 ? 1 : 0;
  const seed = randomBelow(random, 8) === 0 ? 99 : number;
  const { public: staticKey } = keysOf(seed);
  return { name: nameOf(number), incarnation: 1, uid: uidOf(number, run), staticKey, addresses: [] };
}

function randomEdges(random: SeededRandom): TestEdge[] {
  const edges: TestEdge[] = [];
  for (let a = 1; a <= PEERS; a++) {
    for (let b = a + 1; b <= PEERS; b++) {
      if (randomBelow(random, 2) === 0) edges.push([nameOf(a), nameOf(b)]);
    }
  }
  return edges;
}

function actAtRandom({ links, name, random }: Member, now: number): void {
  const number = 1 + randomBelow(random, PEERS);
  const peer = nameOf(number);
  if (peer === name) return;
  const id = randomBelow(random, 4);
  const inputs = [
    () => links.onPeer(entryOf(number, random), now),
    () => links.onPeerGone(peer, now),
    () => links.onRoutes(routesOf(name, 2 + randomBelow(random, PEERS - 1), randomEdges(random)), now),
    () => links.onPasswordDropped(now),
    () => links.onData({ type: 'need-session', peer }, now),
    () => links.onData({ type: 'session-live', peer, id }, now),
    () => links.onData({ type: 'need-circuit', peer, session: id, avoid: [] }, now),
    () => links.onData({ type: 'link-unused', peer }, now),
    () => links.onData({ type: 'link-changed', peer, state: 'down', direct: false }, now),
    () => links.onData({ type: 'link-changed', peer, state: 'idle', direct: false }, now),
  ];
  inputs[randomBelow(random, inputs.length)]!();
}

/** Half of what is sent arrives, some of it twice. */
function deliver(members: readonly Member[], from: Member, now: number): void {
  for (const effect of from.links.drain()) {
    if (effect.type !== 'unicast') continue;
    const to = members.find(({ name }) => name === effect.to);
    for (let n = randomBelow(from.random, 4); n >= 2; n--) {
      to?.links.onUnicast({ ...effect, from: from.name, via: from.name }, now);
    }
  }
}

test('no timer of the links is due any more after it fired, however late it did', (t) => {
  let fired = 0;
  for (let seed = 1; seed <= 10; seed++) {
    const members = Array.from({ length: PEERS }, (_, i) => new Member(i + 1, seed));
    const random = new SeededRandom(seed);
    let now = 0;
    for (let step = 0; step < 300; step++) {
      now += randomBelow(random, 4) === 0 ? randomBelow(random, MAX_PAUSE) : randomBelow(random, 500);
      for (const member of members) {
        if (randomBelow(random, 2) === 0) actAtRandom(member, now);
        if (randomBelow(random, 3) === 0) {
          if ((member.links.nextTimeout() ?? Infinity) <= now) fired++;
          member.links.onTimeout(now);
          const next = member.links.nextTimeout();
          if (next !== undefined && next <= now)
            return t.fail(`seed ${seed}, step ${step}: due since ${next}`);
        }
        deliver(members, member, now);
      }
    }
  }
  t.true(fired > 200, `fired ${fired} times`);
});
