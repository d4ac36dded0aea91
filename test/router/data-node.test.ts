import test from 'ava';
import { parseCidr, parseEndpoint } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { SeededRandom } from '../../core/random.ts';
import type { EngineEvent } from '../../router/engine/port.ts';
import type { ToControl, ToData } from '../../router/node-messages.ts';
import { DataNet, frameOf, fullMesh, macsOf, numberOf, type NetDatagram, type NetNode } from './data-net.ts';

const SECOND = 1000;

/** Two nodes with hosts 1 and 2 behind them, joined by a link that is up. */
async function pair(
  change: Parameters<DataNet['connect']>[2] = {},
  options: Parameters<DataNet['addNode']>[0] = {},
) {
  const net = new DataNet();
  const a = await net.addNode(options);
  const b = await net.addNode(options);
  net.announceRoutes();
  net.tell(a, { type: 'local-macs', macs: macsOf(1) });
  net.tell(b, { type: 'local-macs', macs: macsOf(2) });
  net.connect(a, b, change);
  net.run(SECOND);
  return { net, a, b };
}

function numbers(node: NetNode): number[] {
  return node.frames.map(numberOf);
}

test('frames flow both ways, unicast after the MACs were told, and broadcast always', async (t) => {
  const { net, a, b } = await pair();
  a.engine.hostSends(frameOf(1, 2, 10));
  b.engine.hostSends(frameOf(2, 1, 11));
  a.engine.hostSends(frameOf(1, 0, 12));
  net.settle();
  net.run(SECOND);
  t.deepEqual(numbers(b), [10, 12]);
  t.deepEqual(numbers(a), [11]);
  t.deepEqual(b.frames[0], frameOf(1, 2, 10));
});

test('frames that come before the session wait for it, the newest 64 of them', async (t) => {
  const net = new DataNet();
  const a = await net.addNode();
  const b = await net.addNode();
  net.announceRoutes();
  for (let i = 0; i < 70; i++) a.engine.hostSends(frameOf(1, 0, i));
  net.settle();
  net.run(3 * SECOND);
  t.deepEqual(
    net.told(a, 'need-session').map(({ peer }) => peer),
    [b.name, b.name],
  );
  net.connect(a, b);
  net.run(SECOND);
  t.deepEqual(
    numbers(b),
    Array.from({ length: 64 }, (_, i) => i + 6),
  );
  t.is(net.report(a).drops['held-frame'], 6);
});

test('frames that wait in vain are dropped and counted, and no link remains', async (t) => {
  const net = new DataNet();
  const a = await net.addNode();
  await net.addNode();
  net.announceRoutes();
  a.engine.hostSends(frameOf(1, 0, 1));
  net.settle();
  net.run(130 * SECOND);
  t.is(net.report(a).drops['held-frame'], 1);
  t.deepEqual(net.report(a).links, []);
  t.is(a.node.nextTimeout(), undefined);
});

test('a lossy network with jitter loses frames but not the link, and reports the loss', async (t) => {
  const { net, a, b } = await pair();
  net.loss = 0.1;
  net.jitter = 30;
  let n = 0;
  net.run(300 * SECOND, () => {
    a.engine.hostSends(frameOf(1, 2, n++));
    net.settle();
  });
  t.true(b.frames.length > 0.85 * n && b.frames.length < 0.95 * n);
  t.true(net.told(a, 'link-changed').every(({ state }) => state === 'up' || state === 'probing'));
  t.is(net.told(a, 'need-circuit').length, 0);
  const link = net.report(a).links[0]!;
  t.true(link.lostFraction > 0.01 && link.rttMs! >= 20);
  t.true(link.sentBytes > n * 130);
});

test('both ends of a link count the same bytes: frames, heartbeats and whatever else passes', async (t) => {
  const { net, a, b } = await pair();
  a.engine.hostSends(frameOf(1, 2, 1));
  net.run(20 * SECOND);
  const [there, back] = [net.report(a).links[0]!, net.report(b).links[0]!];
  t.true(there.sentBytes > 0 && there.receivedBytes > 0);
  t.deepEqual([there.sentBytes, there.receivedBytes], [back.receivedBytes, back.sentBytes]);
});

test('what the engine moved by itself counts as traffic of the link', async (t) => {
  const { net, a } = await pair();
  const before = net.report(a).links[0]!;
  const drain = a.engine.drainEvents.bind(a.engine);
  const moved = [0, 1, 2, 3].flatMap((session): EngineEvent[] => [
    { type: 'sent', session, datagrams: 3, bytes: 4_000 },
    { type: 'received', session, datagrams: 2, bytes: 500 },
  ]);
  a.engine.drainEvents = () => [...drain(), ...moved.splice(0)];
  const after = net.report(a).links[0]!;
  t.is(after.sentBytes - before.sentBytes, 4_000);
  t.is(after.receivedBytes - before.receivedBytes, 500);
});

test('a session is replaced while frames flow without losing one', async (t) => {
  const { net, a, b } = await pair();
  let n = 0;
  const send = () => {
    a.engine.hostSends(frameOf(1, 2, n));
    b.engine.hostSends(frameOf(2, 1, n++));
    net.settle();
  };
  net.run(2 * SECOND, send, 5);
  net.connect(a, b);
  net.run(5 * SECOND, send, 5);
  net.run(SECOND);
  t.is(a.frames.length, n);
  t.is(b.frames.length, n);
  t.deepEqual(
    net.told(a, 'session-live').map(({ id }) => id),
    [1, 2],
  );
  t.is(net.told(a, 'indexes-released').length, 1);
});

/** Plays both ControlNodes' part of a rekey. */
function playRekeys(net: DataNet, [a, b]: [NetNode, NetNode]): void {
  const keysOf = (phase: number, first: boolean) => ({
    send: new Uint8Array(32).fill(2 * phase + (first ? 0 : 1)),
    receive: new Uint8Array(32).fill(2 * phase + (first ? 1 : 0)),
  });
  net.onControl = (node, message) => {
    const peer = node === a ? b.name : a.name;
    if (message.type === 'rekey-due') {
      net.tell(node, {
        type: 'rekey-message',
        peer,
        session: message.session,
        phase: message.phase,
        step: 1,
        bytes: new Uint8Array(96),
      });
    } else if (message.type === 'rekey-received') {
      const { session, phase, step } = message;
      const keys = keysOf(phase, node === a);
      net.tell(node, { type: 'rekey-keys', peer, session, phase, initiator: node === a, keys });
      if (step === 1)
        net.tell(node, { type: 'rekey-message', peer, session, phase, step: 2, bytes: new Uint8Array(48) });
    }
  };
}

test('what was sealed under the old key is taken for fifteen seconds after a rekey, and not at all later', async (t) => {
  const { net, a, b } = await pair();
  const caught: NetDatagram[] = [];
  playRekeys(net, [a, b]);
  net.passes = (datagram) => {
    const isFrame = datagram.bytes.length === 32 + 2 + 100;
    if (isFrame) caught.push(datagram);
    return !isFrame;
  };
  for (const number of [1, 2]) a.engine.hostSends(frameOf(1, 2, number));
  net.settle();
  t.is(caught.length, 2);
  net.passes = () => true;
  net.tell(a, { type: 'rekey', peer: b.name });
  net.run(SECOND);
  t.deepEqual(
    [a, b].map((node) => net.report(node).links[0]!.rekeys),
    [1, 1],
  );
  net.run(13 * SECOND);
  b.engine.deliver(a.address, caught[0]!.bytes);
  net.settle();
  t.deepEqual(numbers(b), [1]);
  net.run(2 * SECOND);
  b.engine.deliver(a.address, caught[1]!.bytes);
  net.settle();
  t.deepEqual(numbers(b), [1]);
  t.is(net.report(b).drops['key-unknown'], 1);
});

test('keys that are handed over are wiped here, whether they were taken or came too late', async (t) => {
  const { net, a, b } = await pair();
  const keys = () => ({ send: net.random.bytes(32), receive: net.random.bytes(32) });
  const zero = new Uint8Array(32);
  const common = { type: 'rekey-keys', peer: b.name, initiator: true, phase: 1 } as const;
  const [taken, late, strange, first] = [keys(), keys(), keys(), keys()];
  net.tell(a, { ...common, session: 1, keys: taken });
  net.tell(a, { ...common, session: 7, keys: late });
  net.tell(a, { ...common, session: 1, peer: '02:00:00:00:00:77' as PeerName, keys: strange });
  const session = {
    id: 9,
    initiator: true,
    keys: first,
    cookies: undefined,
    localIndex: 77,
    remoteIndex: 78,
  };
  const rest = { lanes: 1, candidates: [b.address], remoteBridgeMtu: 1388, remoteTrusted: [] };
  net.tell(a, { type: 'session', peer: b.name, session: { ...session, ...rest } });
  for (const { send, receive } of [taken, late, strange, first]) t.deepEqual([send, receive], [zero, zero]);
});

test('rekeys go by unnoticed, again and again, with loss and without', async (t) => {
  const { net, a, b } = await pair();
  playRekeys(net, [a, b]);
  let n = 0;
  const send = () => {
    a.engine.hostSends(frameOf(1, 2, n));
    b.engine.hostSends(frameOf(2, 1, n++));
    net.settle();
  };
  net.run(620 * SECOND, send);
  net.run(SECOND);
  t.is(a.frames.length, n);
  t.is(b.frames.length, n);
  t.is(net.told(a, 'rekey-due').length, 5);
  net.loss = 0.2;
  net.run(3600 * SECOND, () => send(), 1000);
  t.deepEqual(net.told(a, 'need-session'), []);
  t.true(net.told(a, 'rekey-due').length > 25);
  t.is(net.report(a).drops['key-unknown'], undefined);
  t.is(net.report(b).drops['key-unknown'], undefined);
});

test('a relay carries a link whose direct path is cut, and the link returns to direct', async (t) => {
  const net = new DataNet();
  const [a, b, relay] = [await net.addNode(), await net.addNode(), await net.addNode()];
  net.announceRoutes();
  net.tell(a, { type: 'local-macs', macs: macsOf(1) });
  net.tell(b, { type: 'local-macs', macs: macsOf(2) });
  for (const [x, y] of [
    [a, b],
    [a, relay],
    [relay, b],
  ] as const)
    net.connect(x, y);
  net.run(SECOND);
  let circuit = 0;
  net.onControl = (node, message) => {
    if (message.type === 'need-circuit' && node === a) net.openCircuit(a, relay, b, ++circuit);
  };
  let n = 0;
  const send = () => {
    a.engine.hostSends(frameOf(1, 2, n++));
    net.settle();
  };
  net.run(5 * SECOND, send);
  const direct = new Set([a.address.ip.value, b.address.ip.value]);
  net.passes = ({ from, to }) => !(direct.has(from.ip.value) && direct.has(to.ip.value));
  net.run(20 * SECOND, send);
  const link = () => net.report(a).links.find(({ peer }) => peer === b.name)!;
  t.like(link(), { state: 'up', path: 'relay', via: relay.name, encrypted: true });
  t.is(net.report(relay).labels, 2);
  t.is(relay.frames.length, 0);
  const before = b.frames.length;
  net.run(10 * SECOND, send);
  t.true(b.frames.length >= before + 98);
  // The relay gets a new session with its neighbour: the labels follow to its new path, and the circuit stays.
  net.connect(a, relay);
  net.run(15 * SECOND, send);
  t.is(circuit, 1);
  t.true(b.frames.length >= before + 248);
  // The relay's neighbour moves; the labels and the circuit follow it.
  a.address = parseEndpoint('192.0.2.99', 6783)!;
  direct.add(a.address.ip.value);
  net.run(15 * SECOND, send);
  const after = b.frames.length;
  net.run(5 * SECOND, send);
  t.true(b.frames.length >= after + 48);
  // The relay moves, too, and says so: the circuit follows its first hop.
  const opened = circuit;
  relay.address = parseEndpoint('192.0.2.98', 6783)!;
  net.tell(relay, { type: 'moved' });
  net.run(10 * SECOND, send);
  t.is(circuit, opened);
  net.passes = () => true;
  net.run(20 * SECOND, send);
  t.like(link(), { state: 'up', path: 'direct' });
  const ended = () => net.told(a, 'circuit-ended').length;
  net.run(90 * SECOND, send);
  t.is(ended(), circuit);
  t.is(new Set(net.told(relay, 'label-idle').map(({ index }) => index)).size, 2 * circuit);
});

test('large frames over a path that carries little arrive in pieces', async (t) => {
  const { net, a, b } = await pair();
  net.passes = ({ bytes }) => bytes.length <= 1300;
  net.run(60 * SECOND);
  t.true(net.report(a).links[0]!.mtu < 1300 - 64 + 1);
  a.engine.hostSends(frameOf(1, 2, 5, 1388 + 14));
  net.settle();
  net.run(SECOND);
  t.deepEqual(b.frames, [frameOf(1, 2, 5, 1388 + 14)]);
});

test('a host whose own MTU is small brings the size down at once', async (t) => {
  const { net, a } = await pair();
  net.hostLimit = 1400;
  a.engine.hostSends(frameOf(1, 2, 5, 1388 + 14));
  net.settle();
  net.run(100);
  t.is(net.report(a).links[0]!.mtu, 1232 - 64);
});

const TRUSTED = [parseCidr('192.0.2.0/24')!];

test('between trusted addresses frames go plain and are taken, and everything else stays sealed', async (t) => {
  const { net, a, b } = await pair({ remoteTrusted: TRUSTED }, { trusted: TRUSTED });
  const seen: { plain: boolean; kind: number | undefined }[] = [];
  net.passes = ({ bytes }) =>
    seen.push({ plain: bytes[0] === 2, kind: bytes[0] === 2 ? bytes[16] : undefined }) > 0;
  net.run(30 * SECOND, () => {
    a.engine.hostSends(frameOf(1, 2, 1));
    net.settle();
  });
  t.true(b.frames.length >= 300);
  t.true(seen.every(({ plain, kind }) => !plain || kind === 1));
  t.true(seen.some(({ plain }) => !plain));
  t.false(net.report(a).links[0]!.encrypted);
});

test('a plain frame from an address that is not trusted is refused, cookie or no', async (t) => {
  const { net, a, b } = await pair({ remoteTrusted: TRUSTED }, { trusted: TRUSTED });
  let plain: Uint8Array | undefined;
  net.passes = ({ bytes }) => {
    if (bytes[0] === 2) plain = bytes;
    return true;
  };
  a.engine.hostSends(frameOf(1, 2, 1));
  net.settle();
  net.run(SECOND);
  t.is(b.frames.length, 1);
  b.engine.deliver(parseEndpoint('203.0.113.3', 6783)!, plain!);
  b.engine.deliver(a.address, plain!);
  net.settle();
  t.is(b.frames.length, 2);
  t.is(net.report(b).drops['plain-unwelcome'], 1);
});

test('without a password all goes plain', async (t) => {
  const { net, a, b } = await pair({ keys: undefined });
  let sealed = 0;
  net.passes = ({ bytes }) => bytes[0] === 2 || ++sealed > 0;
  a.engine.hostSends(frameOf(1, 2, 1));
  net.settle();
  net.run(30 * SECOND);
  t.is(sealed, 0);
  t.is(b.frames.length, 1);
  t.like(net.report(a).links[0], { state: 'up', encrypted: false });
});

test('closing a session tells the peer, and both report the link idle', async (t) => {
  const { net, a, b } = await pair();
  net.tell(a, { type: 'session-closed', peer: b.name, notify: true });
  net.run(SECOND);
  for (const node of [a, b]) {
    t.is(net.told(node, 'link-changed').at(-1)?.state, 'idle');
    t.deepEqual(net.report(node).links, []);
  }
});

test('a link that nothing uses ends unless the mesh asks for it, and comes back with the next frame', async (t) => {
  const { net, a, b } = await pair();
  net.tell(a, { type: 'links-kept', peers: [] });
  net.tell(b, { type: 'links-kept', peers: [a.name] });
  net.run(301 * SECOND);
  t.deepEqual(
    [a, b].map((node) => net.told(node, 'link-changed').at(-1)?.state),
    ['idle', 'idle'],
  );
  t.deepEqual(net.told(b, 'link-unused'), [{ type: 'link-unused', peer: a.name }]);
  net.run(20 * SECOND);
  t.deepEqual([net.report(a).links, net.report(b).links], [[], []]);
  a.engine.hostSends(frameOf(1, 2, 7));
  net.settle();
  t.is(net.told(a, 'need-session').length, 1);
  net.run(100);
  net.connect(a, b);
  net.run(SECOND);
  t.deepEqual(numbers(b), [7]);
  net.tell(a, { type: 'links-kept', peers: [b.name] });
  net.run(900 * SECOND);
  t.is(net.report(a).links[0]?.state, 'up');
});

test('frames that the engine repeats and those of other lanes keep a link in use', async (t) => {
  const { net, a, b } = await pair({}, { workers: 2 });
  for (const node of [a, b]) net.tell(node, { type: 'links-kept', peers: [] });
  const lane = a.lanes[0]!;
  for (let i = 0; i < 4; i++) {
    net.run(200 * SECOND);
    lane.engine.hostSends(frameOf(1, 2, i));
    lane.ready = true;
    net.settle();
  }
  net.run(200 * SECOND);
  t.deepEqual(numbers(b), [0, 1, 2, 3]);
  t.deepEqual([net.report(a).links[0]?.state, net.report(b).links[0]?.state], ['up', 'up']);
  net.run(200 * SECOND);
  t.deepEqual(net.report(a).links, []);
});

test('keys are wiped from the messages that brought them', async (t) => {
  const net = new DataNet();
  const a = await net.addNode();
  const keys = { send: new Uint8Array(32).fill(1), receive: new Uint8Array(32).fill(1) };
  const session = { id: 1, initiator: true, keys, cookies: undefined, localIndex: 1, remoteIndex: 2 };
  const terms = { lanes: 1, candidates: [], remoteBridgeMtu: 1388, remoteTrusted: [] };
  net.tell(a, { type: 'session', peer: a.name, session: { ...session, ...terms } });
  t.deepEqual([...keys.send, ...keys.receive], Array<number>(64).fill(0));
});

test('a full budget says so, and the rest follows', async (t) => {
  const { net, a } = await pair();
  for (let i = 0; i < 600; i++) a.engine.hostSends(frameOf(1, 2, i));
  t.true(a.node.onReady(net.now));
  t.false(a.node.onReady(net.now));
});

test('a peer that leaves the mesh takes what waited for it along, and strangers get nothing', async (t) => {
  const net = new DataNet();
  const a = await net.addNode();
  const b = await net.addNode();
  net.announceRoutes();
  a.engine.hostSends(frameOf(1, 0, 1));
  net.settle();
  net.tell(a, { type: 'routes', routes: fullMesh([a.name], 0, 2) });
  t.is(net.report(a).drops['held-frame'], 1);
  net.connect(a, b);
  net.run(SECOND);
  t.is(b.frames.length, 0);
});

test('MACs that move and bridges that form a loop are logged', async (t) => {
  const { net, a, b } = await pair();
  b.engine.hostSends(frameOf(7, 1, 1));
  net.settle();
  net.run(100);
  a.engine.hostSends(frameOf(7, 2, 1));
  net.settle();
  net.run(2 * SECOND);
  a.engine.hostSends(frameOf(7, 2, 1));
  net.settle();
  net.run(SECOND);
  t.deepEqual(
    net.told(a, 'log').flatMap(({ level, fields }) => (fields['mac'] ? [[level, fields['mac']]] : [])),
    [
      ['warn', '02:00:00:00:00:07'],
      ['info', '02:00:00:00:00:07'],
    ],
  );
});

for (const [kind, what, reason] of [
  [0, 'the unknown kind 0', 'link-message-malformed'],
  [8, 'kind 8, a rekey of a phase that is not due', 'rekey-unexpected'],
  [12, 'the unknown kind 12', 'link-message-malformed'],
  [99, 'the unknown kind 99', 'link-message-malformed'],
] as const) {
  test(`a message of ${what}, inside a good seal is counted`, async (t) => {
    const { net, a, b } = await pair();
    let sealed: Uint8Array | undefined;
    net.passes = ({ bytes, to }) => {
      if (to.ip.value === b.address.ip.value) sealed ??= bytes;
      return false;
    };
    a.engine.hostSends(frameOf(1, 2, 1));
    net.settle();
    // The fake cipher seals without hiding, so a frame's kind can be made another one.
    sealed![16] = kind;
    b.engine.deliver(a.address, sealed!);
    net.settle();
    t.is(net.report(b).drops[reason], 1);
  });
}

test('datagrams that the system refused are drops; messages of links are none of frames, and may lead nowhere', async (t) => {
  const { net, a } = await pair();
  const events: EngineEvent[] = [
    { type: 'send-failed', path: 1, errno: 'ENETUNREACH', frames: 12, messages: 3 },
    { type: 'send-failed', path: 2, errno: 'EPERM', frames: 0, messages: 4 },
  ];
  a.engine.drainEvents = () => events.splice(0);
  a.node.onReady(net.now);
  net.settle();
  t.deepEqual(net.report(a).drops, { 'send-failed-ENETUNREACH': 12, 'link-message-failed-EPERM': 4 });
});

test('a label is not called idle of whose use the engine had not told yet', async (t) => {
  const net = new DataNet();
  const relay = await net.addNode();
  net.tell(relay, {
    type: 'label',
    index: 7,
    previous: relay.name,
    next: relay.name,
    nextIndex: 8,
  });
  let used = true;
  relay.engine.drainEvents = () => (used ? [{ type: 'label-used', index: 7, datagrams: 1, bytes: 100 }] : []);
  net.run(300 * SECOND);
  t.deepEqual(net.told(relay, 'label-idle'), []);
  used = false;
  net.run(61 * SECOND);
  t.deepEqual(net.told(relay, 'label-idle'), [{ type: 'label-idle', index: 7 }]);
});

test('the end of the engine is passed on', async (t) => {
  const { net, a } = await pair();
  const events: EngineEvent[] = [
    { type: 'failed', error: 'the TAP is gone' },
    { type: 'dropped', reason: 'tag-invalid', count: 3 },
  ];
  a.engine.drainEvents = () => events.splice(0);
  a.node.onReady(net.now);
  net.settle();
  t.is(net.told(a, 'failed')[0]?.error, 'the TAP is gone');
  t.like(net.report(a).drops, { 'tag-invalid': 3 });
});

/** Any message, about any of `peers`, sensible or not. */
function randomMessage(random: SeededRandom, net: DataNet): ToData {
  const peer = net.nodes[random.u32() % net.nodes.length]!.name;
  const small = () => random.u32() % 6;
  const keys = () => ({ send: random.bytes(32), receive: random.bytes(32) });
  const builders: (() => ToData)[] = [
    () => ({
      type: 'session',
      peer,
      session: {
        id: small(),
        initiator: small() < 3,
        keys: small() === 0 ? undefined : keys(),
        cookies: small() === 0 ? undefined : { send: random.bytes(16), receive: random.bytes(16) },
        localIndex: random.u32(),
        remoteIndex: small(),
        candidates: net.nodes.slice(0, small()).map(({ address }) => address),
        lanes: 1,
        remoteBridgeMtu: random.u32() % 70_000,
        remoteTrusted: small() < 3 ? TRUSTED : [],
      },
    }),
    () => ({ type: 'session-closed', peer, notify: small() < 3 }),
    () => ({
      type: 'rekey-message',
      peer,
      session: small(),
      phase: small(),
      step: small() % 3,
      bytes: random.bytes(60),
    }),
    () => ({
      type: 'rekey-keys',
      peer,
      session: small(),
      phase: small(),
      initiator: small() < 3,
      keys: keys(),
    }),
    () => ({
      type: 'circuit',
      peer,
      session: small(),
      circuit: small(),
      route: net.nodes.slice(0, small()).map(({ name }) => name),
      alias: random.u32(),
      sendIndex: random.u32(),
    }),
    () => ({ type: 'circuit-failed', peer, reason: 'no route' }),
    () => ({ type: 'circuit-closed', peer, circuit: small() }),
    () => ({ type: 'label', index: small(), previous: peer, next: net.nodes[0]!.name, nextIndex: small() }),
    () => ({ type: 'label-removed', index: small() }),
    () => ({ type: 'local-macs', macs: random.bytes(6 * small()) }),
    () => ({ type: 'report-request', request: small() }),
  ];
  return builders[random.u32() % builders.length]!();
}

for (let seed = 1; seed <= 12; seed++) {
  test(`no order of messages, frames, breaks and moves makes a node throw or spin (seed ${seed})`, async (t) => {
    const net = new DataNet(seed);
    for (let i = 0; i < 3; i++) await net.addNode({ trusted: TRUSTED });
    net.announceRoutes();
    net.jitter = 50;
    const random = new SeededRandom(seed * 1000);
    const pick = () => net.nodes[random.u32() % 3]!;
    for (let step = 0; step < 400; step++) {
      const action = random.u32() % 10;
      if (action < 4) net.tell(pick(), randomMessage(random, net));
      else if (action < 5) net.connect(pick(), net.nodes[random.u32() % 3]!);
      else if (action < 6) net.openCircuit(pick(), pick(), pick(), step);
      else if (action < 7)
        pick().engine.hostSends(
          frameOf(random.u32() % 5, random.u32() % 5, step, 60 + (random.u32() % 3000)),
        );
      else if (action < 8) pick().engine.deliver(pick().address, random.bytes(random.u32() % 200));
      else if (action < 9) net.loss = [0, 0, 0.3, 1][random.u32() % 4]!;
      else pick().address = parseEndpoint(`192.0.2.${random.u32() % 250}`, 6783)!;
      net.settle();
      net.run(random.u32() % (step % 20 === 0 ? 70_000 : 3_000));
    }
    const told = net.nodes.flatMap(({ control }) =>
      control.map(({ message }): ToControl['type'] => message.type),
    );
    t.false(told.includes('failed'));
  });
}
