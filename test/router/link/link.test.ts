import test from 'ava';
import { formatEndpoint, parseCidr } from '../../../core/address.ts';
import { A, B, LinkNet, RELAY, endpoint, type Side } from './link-net.ts';

const SECOND = 1000;

/** A net whose link is up on the direct path. */
function upNet(...options: ConstructorParameters<typeof LinkNet>): LinkNet {
  const net = new LinkNet(...options);
  net.connect();
  net.run(SECOND);
  return net;
}

function cutDirect(net: LinkNet, direction: 'both' | 'a-to-b' = 'both'): void {
  const [a, b] = [net.a.address.ip, net.b.address.ip];
  net.passes = ({ from, to }) =>
    !(from.ip === a && to.ip === b) && !(direction === 'both' && from.ip === b && to.ip === a);
}

/** A session with the id 9 and the local index 55 of which the other end knows nothing: its answer was lost. */
function halfASession(net: LinkNet, side: Side): void {
  const keys = { send: new Uint8Array(32), receive: new Uint8Array(32) };
  const common = { initiator: false, lanes: 1, cookies: undefined, remoteBridgeMtu: 1388, remoteTrusted: [] };
  const material = { ...common, id: 9, keys, candidates: [], localIndex: 55, remoteIndex: 66 };
  net.input(() => {
    side.link.onSession(material, net.now);
  });
}

test('a link goes up on both ends as soon as the full-size probe is answered', (t) => {
  const net = new LinkNet();
  net.connect();
  net.run(100);
  for (const side of [net.a, net.b]) {
    t.is(side.link.state, 'up');
    t.is(side.link.route?.innerMtu, 1388);
    t.deepEqual(
      side.told('session-live').map(({ id }) => id),
      [1],
    );
    t.is(side.sendables, 1);
  }
});

test('direct is published ten seconds after it is true, and withdrawn at once', (t) => {
  const net = upNet();
  net.run(8.9 * SECOND);
  t.false(net.a.told('link-changed').some(({ direct }) => direct));
  net.run(1.2 * SECOND);
  t.true(net.a.told('link-changed').at(-1)?.direct);
  cutDirect(net);
  net.run(15 * SECOND);
  const last = net.a.told('link-changed').at(-1)!;
  t.like(last, { state: 'probing', direct: false });
});

test('frames that wait make the link ask for a session again and again, ever more slowly', (t) => {
  const net = new LinkNet();
  net.input(() => net.a.link.onNeeded(0));
  t.is(net.a.link.state, 'offering');
  net.run(59 * SECOND);
  t.deepEqual(
    net.a.told('need-session').map(({ at }) => at / SECOND),
    [0, 2, 6, 14, 30],
  );
  net.run(2 * SECOND);
  t.is(net.a.link.state, 'idle');
});

for (const [name, sending, direction, limit] of [
  ['a cut both ways while sending', true, 'both', 6],
  ['a cut one way while sending', true, 'a-to-b', 6],
  ['a cut both ways while idle', false, 'both', 14],
  ['a cut one way while idle', false, 'a-to-b', 14],
] as const) {
  test(`${name} is noticed by both ends within ${limit} s, at whatever moment it happens`, (t) => {
    for (let offset = 0; offset < 10_500; offset += 700) {
      const net = upNet();
      const send = () => {
        if (sending) [net.a, net.b].forEach((side) => net.sendFrame(side));
      };
      net.run(20 * SECOND + offset, send);
      const cutAt = net.now;
      cutDirect(net, direction);
      net.run(limit * SECOND, send);
      for (const side of [net.a, net.b]) {
        t.is(side.link.state, 'probing');
        const asked = side.told('need-circuit')[0]!;
        t.true(
          asked.at - cutAt <= limit * SECOND && asked.at - cutAt >= 2 * SECOND,
          String(asked.at - cutAt),
        );
        t.is(side.told('need-session')[0]?.at, asked.at);
      }
    }
  });
}

test('loss of every fifth datagram, and short breaks, do not make a healthy link fall', (t) => {
  const net = upNet();
  let n = 0;
  net.passes = () => ++n % 5 !== 0 && net.now % 20_000 > 2_000;
  net.run(300 * SECOND, () => void net.sendFrame(net.a));
  t.deepEqual(net.a.told('need-circuit'), []);
  t.true(net.a.link.report().lostFraction > 0.02);
});

test('an idle link heartbeats every ten seconds, a sending one every two', (t) => {
  const net = upNet();
  net.run(2 * SECOND);
  const heartbeats = (side: Side) => side.sent.filter(({ message }) => message?.kind === 'heartbeat').length;
  const before = heartbeats(net.a);
  net.run(100 * SECOND);
  t.is(heartbeats(net.a) - before, 10);
  net.run(100 * SECOND, () => void net.sendFrame(net.a));
  t.true(Math.abs(heartbeats(net.a) - before - 60) <= 2);
});

test('a circuit takes over when direct is lost, and gives way after three answers in a row on direct', (t) => {
  const net = upNet();
  net.onControl = (side, { type }) => {
    if (type === 'need-circuit' && side === net.a) net.openCircuit();
  };
  cutDirect(net);
  net.run(20 * SECOND, () => void net.sendFrame(net.a));
  for (const side of [net.a, net.b]) t.like(side.link.report(), { state: 'up', path: 'relay', via: RELAY });
  const came = net.b.frames.length;
  net.run(SECOND, () => void net.sendFrame(net.a));
  t.true(net.b.frames.length >= came + 9);
  const healedAt = net.now;
  net.passes = () => true;
  net.run(2 * SECOND - 1);
  t.is(net.a.link.report().path, 'relay');
  net.run(healedAt + 8 * SECOND - net.now);
  t.is(net.a.link.report().path, 'direct');
  net.run(75 * SECOND);
  for (const side of [net.a, net.b]) {
    t.deepEqual(
      side.told('circuit-ended').map(({ circuit }) => circuit),
      [7],
    );
    t.is(side.engine.indexes.size, 1);
  }
});

test('a one-way cut leaves the good direction direct and sends the other over the circuit', (t) => {
  const net = upNet();
  net.onControl = (side, { type }) => {
    if (type === 'need-circuit' && side === net.a) net.openCircuit();
  };
  cutDirect(net, 'a-to-b');
  net.run(40 * SECOND, () => [net.a, net.b].forEach((side) => net.sendFrame(side)));
  t.like(net.a.link.report(), { state: 'up', path: 'relay' });
  t.like(net.b.link.report(), { state: 'up', path: 'direct' });
});

test('an end that has nothing to send follows the other to the circuit within three seconds', (t) => {
  const net = upNet();
  net.onControl = (side, { type }) => {
    if (type === 'need-circuit' && side === net.a) net.openCircuit();
  };
  cutDirect(net);
  const relayed = (side: Side) => side.link.report().path === 'relay';
  while (!relayed(net.a)) net.run(100, () => void net.sendFrame(net.a));
  t.is(net.b.link.report().path, 'direct');
  net.run(3 * SECOND);
  t.true(relayed(net.b));
});

test('a session that only one direction brought alive does not take the circuit from the one before it', (t) => {
  const net = upNet();
  cutDirect(net, 'a-to-b');
  net.run(8 * SECOND, () => void net.sendFrame(net.a));
  net.openCircuit();
  net.run(SECOND);
  for (let session = 2; session <= 3; session++) {
    net.connect();
    net.run(2 * SECOND);
    t.is(net.a.told('session-live').at(-1)?.id, session);
    t.like(net.a.link.report(), { state: 'up', path: 'relay' });
  }
  const came = net.b.frames.length;
  net.run(15 * SECOND, () => void net.sendFrame(net.a));
  t.true(net.b.frames.length - came >= 149);
  t.is(net.a.told('need-circuit').at(-1)?.session, 3);
  net.openCircuit(8);
  net.run(10 * SECOND);
  t.like(net.a.link.report(), { state: 'up', path: 'relay' });
  for (const side of [net.a, net.b]) t.is(side.engine.sessions.size, 1);
});

test('a circuit that was opened and carries nothing is avoided by the next one', (t) => {
  const net = upNet();
  cutDirect(net);
  net.run(15 * SECOND);
  t.deepEqual(net.a.told('need-circuit').at(-1)?.avoid, []);
  net.openCircuit();
  net.labels.clear();
  net.run(20 * SECOND);
  t.deepEqual(net.a.told('need-circuit').at(-1)?.avoid, [
    [A, RELAY],
    [RELAY, B],
  ]);
});

test('when a circuit is lost too, the next one is asked to avoid its edges', (t) => {
  const net = upNet();
  cutDirect(net);
  net.run(15 * SECOND);
  net.openCircuit();
  net.run(SECOND);
  t.is(net.a.link.report().path, 'relay');
  const asked = net.a.told('need-circuit').length;
  net.passes = () => false;
  net.run(15 * SECOND);
  t.deepEqual(net.a.told('need-circuit')[asked]?.avoid, [
    [A, RELAY],
    [RELAY, B],
  ]);
  t.deepEqual(
    net.a.told('circuit-ended').map(({ circuit }) => circuit),
    [7],
  );
  net.a.link.onCircuitFailed();
  net.run(40 * SECOND);
  t.deepEqual(net.a.told('need-circuit').at(-1)?.avoid, []);
});

test('a circuit follows its first hop to a new address and pauses while that has none', (t) => {
  const net = upNet();
  cutDirect(net);
  net.run(15 * SECOND);
  net.openCircuit();
  net.run(SECOND);
  t.is(net.a.link.report().path, 'relay');
  net.a.relayReachable = false;
  net.input(() => net.a.link.onFirstHopMoved(RELAY, net.now));
  t.is(net.a.link.route, undefined);
  net.run(SECOND);
  net.a.relayReachable = true;
  net.input(() => net.a.link.onFirstHopMoved(RELAY, net.now));
  t.not(net.a.link.route, undefined);
});

test('a circuit that its relay closed is not waited for: another is asked for at once', (t) => {
  const net = upNet();
  cutDirect(net);
  net.run(15 * SECOND);
  net.openCircuit();
  net.run(SECOND);
  t.is(net.a.link.report().path, 'relay');
  const asked = net.a.told('need-circuit').length;
  net.input(() => net.a.link.onCircuitClosed(7, net.now));
  t.is(net.a.link.state, 'probing');
  t.is(net.a.told('need-circuit').length, asked + 1);
});

test('a fifth circuit that is not in use displaces the oldest', (t) => {
  const net = upNet();
  for (const circuit of [1, 2, 3, 4, 5]) net.openCircuit(circuit);
  t.deepEqual(
    net.a.told('circuit-ended').map(({ circuit }) => circuit),
    [1],
  );
  t.is(net.a.engine.indexes.size, 5);
});

test('a circuit serves the session that it is for, whatever session is newer at one of the ends', (t) => {
  const net = upNet();
  cutDirect(net);
  net.run(8 * SECOND, () => void net.sendFrame(net.a));
  const [current] = net.a.told('need-circuit').map(({ session }) => session);
  halfASession(net, net.b);
  net.openCircuit(7, current);
  net.run(5 * SECOND);
  for (const side of [net.a, net.b]) t.like(side.link.report(), { state: 'up', path: 'relay' });
});

test('a circuit is asked for the session in use, and for a pending one after its addresses had their time', (t) => {
  const net = upNet();
  cutDirect(net);
  net.run(8 * SECOND, () => void net.sendFrame(net.a));
  halfASession(net, net.a);
  const pendingSince = net.now;
  net.run(8 * SECOND);
  const asked = net.a.told('need-circuit');
  t.is(asked[0]!.session, 1);
  const first = asked.find(({ session }) => session === 9)!;
  t.true(first.at >= pendingSince + 3 * SECOND && first.at < pendingSince + 4 * SECOND);
  t.true(asked.some(({ session, at }) => session === 1 && at > pendingSince));
});

test('a circuit without a session, or straight to the peer, is refused', (t) => {
  const net = new LinkNet();
  net.openCircuit(3);
  t.deepEqual(
    net.a.told('circuit-ended').map(({ circuit }) => circuit),
    [3],
  );
  net.connect();
  const circuit = { type: 'circuit', peer: B, session: 1, circuit: 4, alias: 77, sendIndex: 78 } as const;
  net.input(() => net.a.link.onCircuit({ ...circuit, route: [A, B] }, net.now));
  t.deepEqual(net.a.told('indexes-released').at(-1)?.indexes, [77]);
});

test('many addresses that the peer is heard from displace each other, not those that it named', (t) => {
  const net = new LinkNet();
  net.passes = () => false;
  net.connect();
  for (let i = 1; i <= 40; i++) net.input(() => net.a.link.onRoamed(1, endpoint(`203.0.113.${i}`), net.now));
  t.is(net.a.engine.paths.size, 20);
  t.true([...net.a.engine.paths.values()].some(({ to }) => to.ip.value === net.b.address.ip.value));
});

test('no confirmed path for a minute brings the link down, and it comes up again when the network heals', (t) => {
  const net = upNet();
  net.passes = () => false;
  net.run(76 * SECOND);
  t.is(net.a.link.state, 'down');
  net.passes = () => true;
  net.run(6 * SECOND);
  t.is(net.a.link.state, 'up');
});

test('a peer that moves to another address is followed after it answers a probe there', (t) => {
  const net = upNet();
  net.run(10 * SECOND);
  net.a.address = endpoint('192.0.2.77');
  net.sendFrame(net.a);
  net.run(5);
  t.deepEqual(net.b.link.report().address, endpoint('192.0.2.1'));
  net.run(SECOND);
  t.deepEqual(net.b.link.report().address, endpoint('192.0.2.77'));
  t.deepEqual(net.b.engine.directAddress.get(1), endpoint('192.0.2.77'));
  const came = net.a.frames.length;
  net.sendFrame(net.b);
  net.run(100);
  t.is(net.a.frames.length, came + 1);
});

test('a host that knows that it has moved says so to an idle peer at once, and lost ways are tried at once', (t) => {
  const net = upNet();
  net.run(14 * SECOND);
  net.a.address = endpoint('192.0.2.77');
  net.input(() => net.a.link.onMoved(net.now));
  net.run(600);
  t.deepEqual(net.b.link.report().address, endpoint('192.0.2.77'));
  net.passes = () => false;
  net.run(40 * SECOND);
  net.passes = () => true;
  net.input(() => net.a.link.onMoved(net.now));
  net.run(500);
  t.is(net.a.link.state, 'up');
  t.deepEqual(net.b.link.report().address, endpoint('192.0.2.77'));
});

test('of many addresses that a peer is heard from one is tried each second', (t) => {
  const net = upNet();
  net.run(10 * SECOND);
  const tried = () => [...net.b.engine.paths.values()].map(({ to }) => formatEndpoint(to));
  for (let i = 0; i < 30; i++) net.input(() => net.b.link.onRoamed(1, endpoint(`203.0.113.${i}`), net.now));
  t.deepEqual(tried(), ['192.0.2.1:6783', '203.0.113.0:6783']);
  net.run(SECOND);
  net.input(() => net.b.link.onRoamed(1, endpoint('203.0.113.99'), net.now));
  t.deepEqual(tried(), ['192.0.2.1:6783', '203.0.113.99:6783']);
});

test('a new address that does not answer is forgotten and nothing moves', (t) => {
  const net = upNet();
  net.run(10 * SECOND);
  net.input(() => net.b.link.onRoamed(1, endpoint('203.0.113.200'), net.now));
  const paths = net.b.engine.paths.size;
  net.run(10 * SECOND);
  t.is(net.b.engine.paths.size, paths - 1);
  t.deepEqual(net.b.link.report().address, endpoint('192.0.2.1'));
});

test('an unannounced address that a probe came from is tried, so that one side without candidates suffices', (t) => {
  const net = new LinkNet();
  net.connect({});
  const lone = new LinkNet();
  lone.connect({ candidates: [] });
  lone.run(SECOND);
  t.is(lone.a.link.state, 'probing');
  const half = new LinkNet();
  half.passes = ({ from }) => from.ip !== half.b.address.ip || half.now > 100;
  half.connect();
  half.run(3 * SECOND);
  t.is(half.a.link.state, 'up');
  t.is(half.b.link.state, 'up');
});

test('a session is replaced without losing a frame, and the old one is taken away', (t) => {
  const net = upNet();
  const sent: number[] = [];
  const send = () => sent.push(net.sendFrame(net.a)!, net.sendFrame(net.b)!);
  net.run(2 * SECOND, send);
  net.connect();
  net.run(20 * SECOND, send);
  net.run(SECOND);
  const came = [...net.a.frames, ...net.b.frames].map(({ number }) => number).sort((x, y) => x - y);
  t.deepEqual(
    came,
    sent.sort((x, y) => x - y),
  );
  for (const side of [net.a, net.b]) {
    t.deepEqual(
      side.told('session-live').map(({ id }) => id),
      [1, 2],
    );
    t.is(side.engine.sessions.size, 1);
    t.is(side.told('indexes-released').length, 1);
  }
});

test('there is a route at every moment of a replacement', (t) => {
  const net = upNet();
  net.connect();
  for (let ms = 0; ms < 5 * SECOND; ms++) {
    net.run(1);
    for (const side of [net.a, net.b]) t.not(side.link.route, undefined);
    for (const side of [net.a, net.b]) t.is(side.link.state, 'up');
  }
});

test('a plain datagram does not bring a sealed session alive', (t) => {
  const net = new LinkNet();
  net.passes = () => false;
  net.connect();
  const arrival = { session: 1, tag: 0, phase: 0, plain: true, wireLength: 60, source: () => net.b.address };
  net.input(() => void net.a.link.onArrival(arrival, net.now));
  t.deepEqual(net.a.told('session-live'), []);
  net.input(() => void net.a.link.onArrival({ ...arrival, plain: false }, net.now));
  t.is(net.a.told('session-live').length, 1);
});

test('a path lost soon after the session began asks for another session at once', (t) => {
  const net = upNet();
  cutDirect(net);
  net.run(8 * SECOND, () => void net.sendFrame(net.a));
  const asked = net.a.told('need-session')[0]!.at;
  t.is(net.a.told('need-circuit')[0]!.at, asked);
  t.true(asked < 8 * SECOND);
});

test('a pending session that never comes alive leaves the old one serving and goes after a minute', (t) => {
  const net = upNet();
  halfASession(net, net.a);
  net.run(50 * SECOND);
  t.is(net.a.link.state, 'up');
  t.is(net.a.engine.sessions.size, 2);
  net.run(20 * SECOND);
  t.is(net.a.engine.sessions.size, 1);
  t.deepEqual(
    net.a.told('indexes-released').map(({ indexes }) => indexes),
    [[55]],
  );
  t.deepEqual(
    net.a.told('session-live').map(({ id }) => id),
    [1],
  );
});

test('closing tells the peer, and both ends forget the session', (t) => {
  const net = upNet();
  net.input(() => net.a.link.onSessionClosed(true, net.now));
  net.run(SECOND);
  for (const side of [net.a, net.b]) {
    t.is(side.link.state, 'idle');
    t.is(side.engine.sessions.size, 0);
    t.is(side.engine.paths.size, 0);
    t.is(side.engine.indexes.size, 0);
    t.is(side.link.nextTimeout(), undefined);
  }
});

const MINUTE = 60 * SECOND;
const LONG_IDLE = 5 * MINUTE;

/** A net whose link is up, though the mesh asks for it at neither end. */
function unaskedNet(): LinkNet {
  return upNet({ kept: false }, { kept: false });
}

function isGone(side: Side): boolean {
  const { sessions, paths, indexes } = side.engine;
  return side.link.state === 'idle' && sessions.size + paths.size + indexes.size === 0;
}

test('a link that the mesh does not ask for is given up after five minutes without a frame', (t) => {
  const net = unaskedNet();
  net.run(LONG_IDLE - 2 * SECOND);
  t.is(net.a.link.state, 'up');
  net.run(2 * SECOND);
  t.is(net.a.link.state, 'idle');
  t.is(net.b.link.state, 'idle');
  t.is(net.a.link.route, undefined);
  net.run(20 * SECOND);
  t.true(isGone(net.a) && isGone(net.b));
  t.is(net.a.link.nextTimeout(), undefined);
});

test('frames keep a link in use, whichever end sends them', (t) => {
  for (const sender of ['a', 'b'] as const) {
    const net = unaskedNet();
    for (let i = 0; i < 4; i++) {
      net.run(4 * MINUTE);
      t.truthy(net.sendFrame(net[sender]));
    }
    net.run(4 * MINUTE);
    t.deepEqual([net.a.link.state, net.b.link.state], ['up', 'up']);
    net.run(2 * MINUTE);
    t.deepEqual([net.a.link.state, net.b.link.state], ['idle', 'idle']);
  }
});

test('a link that the mesh asks for is kept, and has five minutes from the moment that it no longer does', (t) => {
  const net = upNet();
  net.run(2 * LONG_IDLE);
  net.input(() => {
    for (const { link } of [net.a, net.b]) {
      link.setKept(false, net.now);
      link.onTimeout(net.now);
    }
  });
  net.run(LONG_IDLE - SECOND);
  t.is(net.a.link.state, 'up');
  net.run(2 * SECOND);
  t.is(net.a.link.state, 'idle');
});

test('an end that keeps its link is told that the other gave it up as unused', (t) => {
  const net = upNet({ kept: false });
  net.run(LONG_IDLE);
  t.is(net.b.link.state, 'idle');
  t.is(net.b.told('link-unused').length, 1);
  t.is(net.a.told('link-unused').length, 0);
  t.is(net.b.told('need-session').length, 0);
});

test('frames that were under way when the link was given up arrive', (t) => {
  const net = upNet({ kept: false });
  net.run(LONG_IDLE - SECOND - 10);
  const number = net.sendFrame(net.b)!;
  net.run(15);
  t.is(net.a.link.state, 'idle');
  net.run(SECOND);
  t.deepEqual(net.a.frames, [{ number, plain: false }]);
});

test('a peer that no word of the end reached is told again at its next heartbeat', (t) => {
  const net = upNet({ kept: false });
  net.run(LONG_IDLE - 1.5 * SECOND);
  const a = net.a.address.ip;
  net.passes = ({ from }) => from.ip !== a;
  net.run(SECOND);
  net.passes = () => true;
  t.deepEqual([net.a.link.state, net.b.link.state], ['idle', 'up']);
  net.run(11 * SECOND);
  t.is(net.b.link.state, 'idle');
  t.is(net.b.told('need-session').length, 0);
});

test('a link that was given up asks for a session as soon as a frame waits, and works again', (t) => {
  const net = unaskedNet();
  net.run(LONG_IDLE + SECOND);
  net.input(() => net.b.link.onNeeded(net.now));
  t.is(net.b.told('need-session').length, 1);
  net.connect();
  net.run(SECOND);
  t.deepEqual([net.a.link.state, net.b.link.state], ['up', 'up']);
  t.truthy(net.sendFrame(net.a));
  net.run(LONG_IDLE - SECOND);
  t.deepEqual([net.a.link.state, net.b.link.state], ['up', 'up']);
});

test('an unused link that no path answers on is given up, too', (t) => {
  const net = unaskedNet();
  cutDirect(net);
  net.run(LONG_IDLE + 20 * SECOND);
  t.true(isGone(net.a) && isGone(net.b));
  t.is(net.a.link.nextTimeout(), undefined);
});

test('a path that drops all above some size comes up at the base size and finds that size', (t) => {
  for (const largest of [1232, 1233, 1300, 1380, 1451]) {
    const net = new LinkNet();
    net.passes = ({ size }) => size <= largest;
    net.connect();
    net.run(1.5 * SECOND);
    t.is(net.a.link.state, 'up');
    t.is(net.a.link.route?.innerMtu, 1232 - 64);
    net.run(60 * SECOND);
    const found = net.a.link.route!.innerMtu + 64;
    t.true(found <= largest && found > largest - 8, `${largest}: ${found}`);
  }
});

test('a path that shrinks under an established link is noticed as a black hole and keeps the link up', (t) => {
  const net = upNet();
  net.run(20 * SECOND);
  net.passes = ({ size }) => size <= 1300;
  net.run(12 * SECOND, () => void net.sendFrame(net.a));
  t.true(net.a.link.route!.innerMtu <= 1300 - 64);
  net.run(40 * SECOND);
  t.true(net.a.link.route!.innerMtu > 1290 - 64);
  t.deepEqual(net.a.told('need-circuit'), []);
  net.passes = () => true;
  net.run(11 * 60 * SECOND);
  t.is(net.a.link.route?.innerMtu, 1388);
});

test('while a path is lost frames are measured by the size that it had', (t) => {
  const net = upNet();
  net.run(20 * SECOND);
  net.passes = () => false;
  const mtus = new Set<number | undefined>();
  net.run(30 * SECOND, () => {
    net.sendFrame(net.a);
    mtus.add(net.a.link.route?.innerMtu);
  });
  t.not(net.a.link.state, 'up');
  t.deepEqual([...mtus], [1_388]);
  net.passes = ({ size }) => size <= 1_300;
  net.run(30 * SECOND);
  t.true(net.a.link.route!.innerMtu <= 1_300 - 64);
});

test('the host saying that a datagram is too big lowers the size at once', (t) => {
  const net = upNet();
  const path = net.a.link.route!.path;
  net.passes = ({ size }) => size <= 1400;
  net.input(() => net.a.link.onTooBig(path, 1452, net.now));
  t.is(net.a.link.route?.innerMtu, 1232 - 64);
  net.run(60 * SECOND);
  t.true(net.a.link.route!.innerMtu > 1390 - 64);
});

test('a path that carries not even the base size is given up and reported', (t) => {
  const net = upNet();
  const path = net.a.link.route!.path;
  net.input(() => net.a.link.onTooBig(path, 1232, net.now));
  t.is(net.a.link.state, 'probing');
  const lines = net.a.told('log').map(({ level, message, fields }) => [level, message, fields['reason']]);
  t.is(lines.filter(([, message]) => message !== 'link up' && message !== 'link down').length, 1);
  t.deepEqual(lines.at(-1), ['warn', 'link down', 'no path answers']);
});

test('the smaller of the bridges bounds what a frame may carry', (t) => {
  const net = new LinkNet({ bridgeMtu: 9000 });
  net.connect({ remoteBridgeMtu: 1300 });
  net.run(SECOND);
  t.is(net.a.link.route?.innerMtu, 1300);
});

test('MACs are told in parts until acknowledged, and again when they change', (t) => {
  const macs = new Uint8Array(6 * 400).map((_, i) => i);
  const net = new LinkNet({ macs });
  let n = 0;
  net.passes = () => ++n % 3 !== 0;
  net.connect();
  net.run(20 * SECOND);
  t.deepEqual(net.b.macs, [macs]);
  const sent = () => net.a.sent.filter(({ message }) => message?.kind === 'macs').length;
  const before = sent();
  net.run(20 * SECOND);
  t.is(sent(), before);
  net.input(() => net.a.link.onLocalMacs(macs.subarray(0, 6), net.now));
  net.run(10 * SECOND);
  t.deepEqual(net.b.macs[1], macs.subarray(0, 6));
});

test('MACs of a session before the one in use are not learned, as they may be older than what came since', (t) => {
  const net = new LinkNet({ macs: Uint8Array.of(2, 0, 0, 0, 0, 1) });
  net.connect();
  net.run(2 * SECOND);
  const old = {
    kind: 'macs',
    version: 57,
    part: 0,
    parts: 1,
    macs: Uint8Array.of(2, 0, 0, 0, 0, 9),
  } as const;
  const sendOld = net.recordMessage(net.a, old);
  net.connect();
  net.run(SECOND);
  const learned = net.b.macs.length;
  net.input(sendOld);
  net.run(SECOND);
  t.is(net.b.macs.length, learned);
  net.input(() => net.a.link.onLocalMacs(Uint8Array.of(2, 0, 0, 0, 0, 3), net.now));
  net.run(SECOND);
  t.deepEqual(net.b.macs.at(-1), Uint8Array.of(2, 0, 0, 0, 0, 3));
});

const TRUSTED = [parseCidr('192.0.2.0/24')!, parseCidr('198.51.100.0/24')!];
const cookies = { send: new Uint8Array(16), receive: new Uint8Array(16) };

test('frames go plain only if both ends trust both addresses', (t) => {
  for (const [trustA, trustB, expected] of [
    [TRUSTED, TRUSTED, true],
    [TRUSTED, [], false],
    [[], TRUSTED, false],
    [TRUSTED.slice(0, 1), TRUSTED, false],
    [TRUSTED, TRUSTED.slice(1), false],
  ] as const) {
    const net = new LinkNet({ trusted: [...trustA] }, { trusted: [...trustB] });

    net.connect({ cookies }, trustB, trustA);
    net.run(SECOND, () => [net.a, net.b].forEach((side) => net.sendFrame(side)));
    t.is(net.a.link.route?.plain, expected);
    t.is(net.b.link.route?.plain, expected);
    t.is(net.a.link.report().encrypted, !expected);
    t.is(net.b.refusedPlain + net.a.refusedPlain, 0);
    t.is(
      net.b.frames.some(({ plain }) => plain),
      expected,
    );
  }
});

test('circuits stay sealed between ends that trust each other, and plain frames on an alias are refused', (t) => {
  const net = new LinkNet({ trusted: TRUSTED }, { trusted: TRUSTED });
  net.connect({ cookies, remoteTrusted: TRUSTED });
  net.run(SECOND);
  t.true(net.a.link.route?.plain);
  cutDirect(net);
  net.run(15 * SECOND);
  net.openCircuit();
  net.run(SECOND);
  t.like(net.a.link.route, { plain: false });
  const arrival = { session: 1, phase: 0, plain: true, wireLength: 60, source: () => net.b.address };
  t.false(net.a.link.takesPlain({ ...arrival, tag: 99 }));
  t.true(net.a.link.takesPlain({ ...arrival, tag: 0 }));
  t.false(net.a.link.takesPlain({ ...arrival, tag: 0, source: () => endpoint('203.0.113.5') }));
});

test('without a password all is plain, circuits too, and every plain frame is taken', (t) => {
  const net = new LinkNet();
  net.connect({ keys: undefined, cookies });
  net.run(SECOND, () => void net.sendFrame(net.a));
  t.is(net.a.link.state, 'up');
  t.true(net.b.frames.length > 5);
  t.false(net.a.link.report().encrypted);
  cutDirect(net);
  net.run(15 * SECOND);
  net.openCircuit();
  net.run(SECOND, () => void net.sendFrame(net.a));
  t.like(net.a.link.route, { plain: true });
  t.is(net.b.refusedPlain, 0);
});

test('without a password a peer that moves is followed with its next heartbeat, once it answers there', (t) => {
  const net = new LinkNet();
  net.connect({ keys: undefined, cookies });
  net.run(10 * SECOND);
  net.a.address = endpoint('192.0.2.77');
  const came = net.b.frames.length;
  net.run(2.5 * SECOND, () => void net.sendFrame(net.a));
  t.deepEqual(net.b.link.report().address, endpoint('192.0.2.77'));
  t.true(net.b.frames.length > came);
  net.run(100);
  const back = net.a.frames.length;
  net.sendFrame(net.b);
  net.run(100);
  t.is(net.a.frames.length, back + 1);
  t.is(net.a.link.state, 'up');
});

test('a message that came plain in a sealed session is ignored', (t) => {
  const net = upNet();
  const arrival = { session: 1, tag: 0, phase: 0, plain: true, wireLength: 60, source: () => net.b.address };
  t.is(net.a.link.onMessage(arrival, { kind: 'close', reason: 0 }, net.now), 'plain-refused');
  t.is(net.a.link.state, 'up');
});
