import test from 'ava';
import { formatIp, parseCidr, parseEndpoint, type Cidr } from '../../core/address.ts';
import { DataNet, frameOf, macsOf, numberOf, type NetDatagram, type NetNode } from './data-net.ts';

const SECOND = 1_000;
const TRUSTED = [parseCidr('192.0.2.0/24')!];
const OUTSIDE = parseEndpoint('203.0.113.7', 6783)!;
const PLAIN = 2;
const FRAME = 1;
const BROADCAST = 2;
const FRAGMENT = 3;

interface Pair {
  readonly net: DataNet;
  readonly a: NetNode;
  readonly b: NetNode;
  readonly relay: NetNode;
  /** All datagrams since the start. */
  readonly seen: NetDatagram[];
}

/** Two nodes and a relay; each of the two trusts what it is given, and knows what the other one trusts. */
async function trusting(ofA: readonly Cidr[], ofB: readonly Cidr[]): Promise<Pair> {
  const net = new DataNet();
  const a = await net.addNode({ trusted: ofA });
  const b = await net.addNode({ trusted: ofB });
  const relay = await net.addNode();
  const seen: NetDatagram[] = [];
  net.passes = (datagram) => seen.push(datagram) > 0;
  net.announceRoutes();
  net.tell(a, { type: 'local-macs', macs: macsOf(1) });
  net.tell(b, { type: 'local-macs', macs: macsOf(2) });
  net.connect(a, relay);
  net.connect(b, relay);
  connect(net, a, b, ofA, ofB);
  net.run(SECOND);
  return { net, a, b, relay, seen };
}

/** As a handshake would: each end learns the other's list, and there are cookies if both lists name something. */
function connect(net: DataNet, a: NetNode, b: NetNode, ofA: readonly Cidr[], ofB: readonly Cidr[]): void {
  const cookies = ofA.length > 0 && ofB.length > 0 ? {} : { cookies: undefined };
  const tell = net.tell.bind(net);
  net.tell = (to, message) => {
    if (message.type !== 'session') return tell(to, message);
    const remoteTrusted = to === a ? ofB : ofA;
    tell(to, { ...message, session: { ...message.session, remoteTrusted } });
  };
  net.connect(a, b, cookies);
  net.tell = tell;
}

function talk({ net, a, b }: Pair, duration: number): void {
  let number = 1_000;
  net.run(duration, () => {
    a.engine.hostSends(frameOf(1, 2, ++number));
    b.engine.hostSends(frameOf(2, 1, ++number));
    net.settle();
  });
}

function plainOnes(seen: readonly NetDatagram[]): NetDatagram[] {
  return seen.filter(({ bytes }) => bytes[0] === PLAIN);
}

function linkOf(net: DataNet, node: NetNode, peer: NetNode) {
  return net.report(node).links.find((link) => link.peer === peer.name)!;
}

test('where both ends trust both addresses, frames, broadcasts and fragments go plain and nothing else', async (t) => {
  const pair = await trusting(TRUSTED, TRUSTED);
  const { net, a, b, seen } = pair;
  talk(pair, 5 * SECOND);
  a.engine.hostSends(frameOf(1, 0, 1));
  a.engine.hostSends(frameOf(1, 2, 2, 3_000));
  net.settle();
  net.run(SECOND);
  const kinds = new Set(plainOnes(seen).map(({ bytes }) => bytes[16]!));
  t.deepEqual([...kinds].sort(), [FRAME, BROADCAST, FRAGMENT]);
  t.true(b.frames.some((frame) => numberOf(frame) === 1) && b.frames.some((frame) => frame.length === 3_000));
  for (const node of [a, b]) t.false(linkOf(net, node, node === a ? b : a).encrypted);
  t.true(seen.some(({ bytes }) => bytes[0] !== PLAIN));
});

for (const [what, ofA, ofB] of [
  ['only one end trusts', TRUSTED, []],
  ['only the other end trusts', [], TRUSTED],
  ["one end's list lacks the address of the other", [parseCidr('192.0.2.1/32')!], TRUSTED],
  ["one end's list lacks its own address", [parseCidr('192.0.2.2/32')!], TRUSTED],
] as const) {
  test(`where ${what}, every datagram is sealed and status says so`, async (t) => {
    const pair = await trusting(ofA, ofB);
    talk(pair, 10 * SECOND);
    const { net, a, b, seen } = pair;
    t.true(a.frames.length > 50 && b.frames.length > 50);
    t.deepEqual(plainOnes(seen), []);
    t.true(linkOf(net, a, b).encrypted && linkOf(net, b, a).encrypted);
  });
}

test('through a relay all is sealed, although all three lie in trusted subnets', async (t) => {
  const pair = await trusting(TRUSTED, TRUSTED);
  const { net, a, b, relay, seen } = pair;
  talk(pair, 2 * SECOND);
  t.true(plainOnes(seen).length > 0);
  const ends = [a.address, b.address];
  net.passes = (datagram) => {
    if (ends.includes(datagram.from) && ends.includes(datagram.to)) return false;
    return seen.push(datagram) > 0;
  };
  net.run(10 * SECOND);
  net.openCircuit(a, relay, b);
  net.run(2 * SECOND);
  seen.length = 0;
  const [framesOfA, framesOfB] = [a.frames.length, b.frames.length];
  talk(pair, 10 * SECOND);
  t.true(a.frames.length > framesOfA + 50 && b.frames.length > framesOfB + 50);
  t.deepEqual(plainOnes(seen), []);
  t.like(linkOf(net, a, b), { path: 'relay', encrypted: true });
});

test('an end that roams to an address outside is sent nothing plain there, and soon sends nothing plain itself', async (t) => {
  const pair = await trusting(TRUSTED, TRUSTED);
  const { net, a, b, seen } = pair;
  talk(pair, 3 * SECOND);
  const home = a.address;
  a.address = OUTSIDE;
  seen.length = 0;
  talk(pair, 5 * SECOND);
  const there = formatIp(OUTSIDE.ip);
  t.deepEqual(
    plainOnes(seen).filter(({ to }) => formatIp(to.ip) === there),
    [],
  );
  seen.length = 0;
  const [framesOfA, framesOfB] = [a.frames.length, b.frames.length];
  talk(pair, 10 * SECOND);
  t.true(a.frames.length > framesOfA + 90 && b.frames.length > framesOfB + 90);
  t.deepEqual(plainOnes(seen), []);
  t.true(linkOf(net, a, b).encrypted && linkOf(net, b, a).encrypted);
  a.address = home;
  talk(pair, 10 * SECOND);
  t.false(linkOf(net, a, b).encrypted || linkOf(net, b, a).encrypted);
});

test('a plain datagram with a wrong cookie, from outside, or on an alias is dropped under its reason', async (t) => {
  const pair = await trusting(TRUSTED, TRUSTED);
  const { net, a, b, relay, seen } = pair;
  net.openCircuit(a, relay, b);
  talk(pair, SECOND);
  const [plain] = plainOnes(seen).filter(({ to }) => to === b.address);
  const { bytes } = plain!;
  const frames = b.frames.length;
  const inject = (from: NetNode['address'], datagram: Uint8Array, drop: string): void => {
    const before = net.report(b).drops[drop] ?? 0;
    b.engine.deliver(from, datagram);
    net.settle();
    t.is(net.report(b).drops[drop], before + 1, drop);
  };
  inject(a.address, bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1), 'cookie-invalid');
  inject(OUTSIDE, bytes, 'plain-unwelcome');
  const alias = net.aliasOf(b);
  inject(
    a.address,
    Uint8Array.of(...bytes.subarray(0, 4), alias, 0, 0, 0, ...bytes.subarray(8)),
    'plain-unwelcome',
  );
  t.is(b.frames.length, frames);
  b.engine.deliver(a.address, bytes);
  net.settle();
  t.is(b.frames.length, frames + 1, 'as it was, it would have been taken');
});

test('an end whose own address is outside takes nothing plain, whoever claims to send it', async (t) => {
  const pair = await trusting(TRUSTED, TRUSTED);
  const { net, a, b, seen } = pair;
  talk(pair, SECOND);
  const [plain] = plainOnes(seen).filter(({ to }) => to === b.address);
  b.address = OUTSIDE;
  talk(pair, 10 * SECOND);
  const [frames, before] = [b.frames.length, net.report(b).drops['plain-unwelcome'] ?? 0];
  b.engine.deliver(a.address, plain!.bytes);
  net.settle();
  t.is(b.frames.length, frames);
  t.is(net.report(b).drops['plain-unwelcome'], before + 1);
});
