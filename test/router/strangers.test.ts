import test from 'ava';
import type { Endpoint } from '../../core/address.ts';
import { concatBytes, utf8 } from '../../core/bytes.ts';
import { SeededRandom } from '../../core/random.ts';
import { Gossip } from '../../gossip/gossip.ts';
import type { GossipEffect } from '../../gossip/gossip-effect.ts';
import { encodePreamble } from '../../router/crypto/preamble.ts';
import { createSecureChannel } from '../../router/crypto/secure-channel.ts';
import { endpoint, peerName } from '../gossip/mesh.ts';
import { End } from './crypto/channel-pair.ts';
import { fakePrimitives } from '../sim/fake-primitives.ts';

const SECOND = 1_000;
const STRANGER = '198.51.100.7';
const preamble = encodePreamble({ versions: { min: 1, max: 1 }, password: true, nonce: new Uint8Array(32) });
const element = new Uint8Array(32).fill(9);

/** A node with passwords and a real secure channel, and whoever connects to it. */
class Node {
  readonly gossip: Gossip;
  readonly effects: GossipEffect[] = [];
  now = 0;
  /** While false, password jobs stay undone. */
  computes = true;
  #conn = 1;
  readonly #held: Uint8Array[];

  constructor(...passwords: string[]) {
    const random = new SeededRandom(1);
    const held = (this.#held = passwords.map(utf8));
    this.gossip = new Gossip(
      {
        name: peerName(1),
        nickname: 'host1',
        uid: '0011223344556677',
        incarnation: 1,
        version: 'test',
        staticKey: new Uint8Array(32),
        generation: '00000000000000aa',
        port: 6783,
        acceptsInbound: true,
        addresses: [],
        discovery: false,
        connLimit: 0,
        fullMeshLimit: 80,
        bridgeMtu: 1_388,
        capabilities: [],
        candidates: [],
      },
      {
        random,
        passwordCount: () => held.length,
        createChannel: (role, _remote, dialPassword) =>
          createSecureChannel(
            { role, passwords: held, dialPassword, primitives: fakePrimitives, random },
            this.now,
          ),
      },
      0,
    );
    this.settle();
  }

  /** Holds this password in place of all others. */
  rotate(password: string): void {
    const gone = this.#held.splice(0, this.#held.length, utf8(password)).map(() => undefined);
    this.gossip.onPasswordsChanged(gone, this.now);
    this.settle();
  }

  /** A connection from this address, which then says these bytes. */
  accept(from: Endpoint, ...says: Uint8Array[]): number {
    const conn = this.#conn;
    this.#conn += 2;
    this.gossip.onAccepted(conn, from, this.now);
    this.settle();
    for (const bytes of says) this.hear(conn, bytes);
    return conn;
  }

  hear(conn: number, bytes: Uint8Array): void {
    this.gossip.onBytes(conn, bytes, this.now);
    this.settle();
  }

  close(conn: number): void {
    this.gossip.onClosed(conn, undefined, this.now);
    this.settle();
  }

  /** Somebody who knows `password`: connects and, after what happens meanwhile, proves it. */
  member(from: Endpoint, password: string, meanwhile = (): void => undefined): number {
    const end = new End('dialler', fakePrimitives, { passwords: [utf8(password)] }, 5);
    const conn = this.accept(from);
    meanwhile();
    let heard = 0;
    for (let i = 0; i < 3; i++) {
      for (const bytes of end.drain()) this.hear(conn, bytes);
      const said = this.said(conn);
      end.channel.onBytes(said.subarray(heard), this.now);
      heard = said.length;
    }
    return conn;
  }

  /** Waits for a dial to this target and answers as an acceptor that knows `password`. Undefined if it is given up. */
  dialled(password: string): string | undefined {
    const dial = this.of('dial').at(-1)!;
    const { conn } = dial;
    const end = new End('acceptor', fakePrimitives, { passwords: [utf8(password)] }, 6);
    this.gossip.onConnected(conn, endpoint(dial.host), this.now);
    this.settle();
    let heard = 0;
    for (let i = 0; i < 3; i++) {
      for (const bytes of end.drain()) this.hear(conn, bytes);
      const said = this.said(conn);
      end.channel.onBytes(said.subarray(heard), this.now);
      heard = said.length;
    }
    return end.opened ? 'open' : heard === 0 ? undefined : end.failure;
  }

  wait(time: number): void {
    const until = this.now + time;
    for (let next = this.gossip.nextTimeout(); next !== undefined && next <= until;) {
      this.now = Math.max(this.now, next);
      this.gossip.onTimeout(this.now);
      this.settle();
      next = this.gossip.nextTimeout();
    }
    this.now = until;
  }

  settle(): void {
    for (let effects = this.gossip.drain(); effects.length > 0; effects = this.gossip.drain()) {
      this.effects.push(...effects);
      for (const effect of effects) {
        if (effect.type !== 'task' || !this.computes) continue;
        this.gossip.onTaskDone(effect.task, fakePrimitives.runJob(effect.job), this.now);
      }
    }
  }

  of<T extends GossipEffect['type']>(type: T): Extract<GossipEffect, { type: T }>[] {
    return this.effects.filter((effect) => effect.type === type) as Extract<GossipEffect, { type: T }>[];
  }

  said(conn: number): Uint8Array {
    return concatBytes(...this.of('write').flatMap((write) => (write.conn === conn ? [write.bytes] : [])));
  }

  /** Undefined while the connection lives. */
  closed(conn: number): 'reset' | 'closed' | undefined {
    const close = this.of('close').find((effect) => effect.conn === conn);
    return close && (close.reset ? 'reset' : 'closed');
  }

  get refusedRows() {
    return this.gossip.connectionsStatus(this.now).filter(({ state }) => state === 'failed');
  }
}

/** Distinct addresses, `of` of them. */
function crowd(of: number): Endpoint[] {
  return Array.from({ length: of }, (_, i) => endpoint(`203.0.113.${i % 250}`, 1_024 + i));
}

test('the ninth unfinished connection of a source is reset before anything is said or computed', (t) => {
  const node = new Node('secret');
  for (let i = 0; i < 8; i++) t.is(node.said(node.accept(endpoint(STRANGER, 1_024 + i))).length, 44);
  const ninth = node.accept(endpoint(STRANGER, 2_000));
  t.is(node.closed(ninth), 'reset');
  t.is(node.said(ninth).length, 0);
  t.deepEqual(node.gossip.refusals(), { 'half-open-limit': 1 });
  t.like(node.refusedRows[0], {
    outbound: false,
    error: `too many unfinished connections from ${STRANGER}:2000`,
  });
});

test('after ten elements without a proof a source is reset at once, until 30 s have passed or it proves the password', (t) => {
  const node = new Node('secret');
  const guess = (): number => node.accept(endpoint(STRANGER), preamble, element, Uint8Array.of(0));
  for (let i = 0; i < 10; i++) t.is(node.said(guess()).length, 44 + 1 + 96);
  t.is(node.of('task').length, 10);
  t.is(node.said(guess()).length, 0, 'the eleventh');
  t.is(node.of('task').length, 10, 'nothing was computed for it');
  t.deepEqual(node.gossip.refusals(), { 'guess-limit': 1, 'password-mismatch': 10 });
  node.wait(30 * SECOND);
  t.is(node.closed(node.member(endpoint(STRANGER), 'secret')), undefined, 'one who knows the password');
  t.is(node.said(guess()).length, 44 + 1 + 96, 'whose proof cleared the source');
});

test('a handshake that is broken off once we answered was a guess, one that ends before was none', (t) => {
  const node = new Node('secret');
  for (let i = 0; i < 20; i++) node.close(node.accept(endpoint(STRANGER), preamble));
  for (let i = 0; i < 10; i++) node.close(node.accept(endpoint(STRANGER), preamble, element));
  t.is(node.closed(node.accept(endpoint(STRANGER))), 'reset');
  t.deepEqual(node.gossip.refusals(), { 'guess-limit': 1, 'handshake-abandoned': 30 });
  t.is(node.refusedRows.length, 1, 'who only looked is not shown');
});

test('guesses at once on several connections are no way around the limit', (t) => {
  const node = new Node('secret', 'older');
  const conns = Array.from({ length: 8 }, (_, i) => node.accept(endpoint(STRANGER, 1_024 + i), preamble));
  for (const conn of conns) node.hear(conn, element);
  const answered = conns.filter((conn) => node.said(conn).length > 44);
  t.is(answered.length, 5, 'two passwords each');
  for (const conn of answered) t.is(node.said(conn).length, 44 + 1 + 2 * 96);
  t.is(node.of('task').length, 10);
  t.deepEqual(node.gossip.refusals(), { 'guess-limit': 3 });
});

test('with one guess left nothing is computed for two passwords', (t) => {
  const node = new Node('secret', 'older');
  for (let i = 0; i < 5; i++) node.accept(endpoint(STRANGER), preamble, element, Uint8Array.of(0));
  node.wait(90 * SECOND);
  const [first, second] = [
    node.accept(endpoint(STRANGER), preamble),
    node.accept(endpoint(STRANGER), preamble),
  ];
  node.hear(first, element);
  node.hear(second, element);
  t.deepEqual(
    [first, second].map((conn) => node.said(conn).length),
    [44 + 1 + 2 * 96, 44],
  );
  t.is(node.of('task').length, 12);
});

test('strangers get a hundred answers a second, and a member comes in meanwhile', (t) => {
  const node = new Node('secret');
  const home = endpoint('192.0.2.9');
  node.close(node.member(home, 'secret'));
  node.wait(SECOND);
  const conns = crowd(150).map((from) => node.accept(from, preamble, element, Uint8Array.of(0)));
  t.is(conns.filter((conn) => node.said(conn).length > 44).length, 100);
  t.is(node.gossip.refusals()['handshake-rate'], 50);
  t.is(node.closed(node.member(home, 'secret')), undefined);
  node.wait(10);
  t.is(node.said(node.accept(endpoint(STRANGER), preamble, element)).length, 44 + 1 + 96);
});

test('password jobs are handed out one at a time, and none of connections that are gone', (t) => {
  const node = new Node('secret');
  node.computes = false;
  const conns = crowd(60).map((from) => node.accept(from, preamble, element));
  t.is(node.of('task').length, 1);
  for (const conn of conns) node.close(conn);
  for (const { task, job } of node.of('task')) {
    node.gossip.onTaskDone(task, fakePrimitives.runJob(job), node.now);
    node.settle();
  }
  t.is(node.of('task').length, 1);
});

test('a slow member at a known address comes in while 300 sources take all places of unfinished connections', (t) => {
  const node = new Node('secret');
  const home = endpoint('192.0.2.9');
  node.close(node.member(home, 'secret'));
  const strangers: number[] = [];
  const siege = (): void => {
    for (let i = 0; i < 300; i++) {
      strangers.push(node.accept(endpoint(`198.18.${i >> 8}.${i & 255}`), preamble));
      node.wait(10);
    }
  };
  const conn = node.member(home, 'secret', siege);
  t.is(node.closed(conn), undefined);
  t.is(node.of('close').filter(({ reset }) => reset).length, 300 + 1 - 256);
  t.is(strangers.filter((stranger) => node.closed(stranger) === undefined).length, 255);
});

test('a member at a known address comes in while a stranger in its /64 uses up the guesses there', (t) => {
  const node = new Node('secret');
  const [home, stranger] = [endpoint('2001:db8::1'), endpoint('2001:db8::bad')];
  node.close(node.member(home, 'secret'));
  for (let i = 0; i < 12; i++) node.accept(stranger, preamble, element, Uint8Array.of(0));
  t.is(node.gossip.refusals()['guess-limit'], 2);
  t.is(node.closed(node.member(home, 'secret')), undefined);
  t.is(node.closed(node.accept(stranger)), 'reset');
});

test('handshakes of known addresses and own dials are computed before those of strangers', (t) => {
  const node = new Node('secret');
  const home = endpoint('192.0.2.9');
  node.close(node.member(home, 'secret'));
  const before = node.of('task').length;
  node.computes = false;
  for (const from of crowd(60)) node.accept(from, preamble, element);
  node.accept(
    home,
    preamble,
    element.map(() => 7),
  );
  node.gossip.connect([STRANGER], false, node.now);
  node.wait(0);
  const dialled = node.of('dial').at(-1)!.conn;
  node.gossip.onConnected(dialled, endpoint(STRANGER), node.now);
  node.hear(dialled, preamble);
  for (let done = before; done < before + 2; done++) {
    const { task, job } = node.of('task')[done]!;
    node.gossip.onTaskDone(task, fakePrimitives.runJob(job), node.now);
    node.settle();
  }
  const [member, dial] = node.of('task').slice(before + 1);
  t.like(member!.job, { type: 'cpace-answer', elementA: element.map(() => 7) });
  t.is(dial!.job.type, 'cpace-start');
});

test('a flood from everywhere keeps at most 256 unfinished connections and is told in few lines', (t) => {
  const node = new Node('secret');
  for (let i = 0; i < 10_000; i++) {
    const from = endpoint(`2001:db8:${(i >> 8).toString(16)}:${(i & 255).toString(16)}::1`);
    node.accept(from, ...(i % 3 === 0 ? [utf8('GET /')] : i % 3 === 1 ? [preamble] : []));
  }
  const live = node.gossip.connectionsStatus(node.now).filter(({ state }) => state === 'connecting');
  t.is(live.length, 255, 'the last one spoke nonsense');
  t.is(node.refusedRows.length, 64);
  t.true(node.of('log').length <= 20, `${node.of('log').length} lines`);
  const refused = Object.values(node.gossip.refusals()).reduce((sum, count) => sum + count, 0);
  t.is(refused, 10_000 - live.length);
});

test('an acceptor that proves nothing is shown one element per second, and after ten one per 30 s', (t) => {
  const node = new Node('secret');
  const again = (): string | undefined => {
    node.gossip.connect([STRANGER], false, node.now);
    node.wait(0);
    return node.dialled('wrong');
  };
  t.is(again(), 'password-mismatch');
  t.is(again(), undefined, 'at once');
  t.like(node.gossip.connectionsStatus(node.now)[0], { outbound: true, state: 'retrying' });
  t.regex(node.gossip.connectionsStatus(node.now)[0]!.error!, /^password mismatch with 198\.51\.100\.7:6783/);
  for (let i = 2; i <= 10; i++) {
    node.now += SECOND;
    t.is(again(), 'password-mismatch', `number ${i}`);
  }
  node.now += 20 * SECOND;
  t.is(again(), undefined, '29 s after the first');
  node.now += SECOND;
  t.is(again(), 'password-mismatch', '30 s after the first');
  t.is(node.gossip.refusals()['dial-guess-limit'], 2);
  node.now += 30 * SECOND;
  node.gossip.connect([STRANGER], false, node.now);
  node.wait(0);
  t.is(node.dialled('secret'), 'open');
});

test('a dial goes through both passwords, and the second one is not held up', (t) => {
  const node = new Node('newer', 'older');
  node.gossip.connect([STRANGER], false, 0);
  node.wait(0);
  t.is(node.dialled('older'), 'password-mismatch');
  node.wait(0);
  t.is(node.dialled('older'), 'open');
});

test('a host whose password is mended dials at once, whatever failed before', (t) => {
  const node = new Node('mistyped');
  node.gossip.connect([STRANGER], false, 0);
  node.wait(0);
  t.is(node.dialled('secret'), 'password-mismatch');
  node.rotate('secret');
  node.wait(0);
  t.is(node.dialled('secret'), 'open');
});
