import test from 'ava';
import { SeededRandom } from '../../core/random.ts';
import { backOff } from '../../gossip/back-off.ts';
import { ConnectionMaker } from '../../gossip/connection-maker.ts';
import { dialAddress, formatDialAddress, formatPublished, parseTarget } from '../../gossip/target-address.ts';
import { endpoint, peerName } from './mesh.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const nobody = () => false;

function maker(
  self = 1,
  discovery = true,
  seed = 1,
  isReachable = nobody as (name: string) => boolean,
): ConnectionMaker {
  let conn = 0;
  const newConn = (): number => (conn += 2);
  return new ConnectionMaker({
    self: peerName(self),
    random: new SeededRandom(seed),
    defaultPort: 6_783,
    newConn,
    discovery,
    isReachable,
  });
}

test('waits grow by half from 1 s to 2 min, with half as much jitter either way', (t) => {
  t.is(backOff(1, 0.5), 1_000);
  t.is(backOff(2, 0.5), 1_500);
  t.is(backOff(1, 0), 500);
  t.is(backOff(1, 1), 1_500);
  t.is(backOff(60, 0.5), 2 * MINUTE);
});

test('a failed dial is repeated after its wait, not before', (t) => {
  const m = maker();
  m.connect(['192.0.2.9'], false, 0);
  t.is(m.nextTimeout(), 0);
  const [dial] = m.onTimeout(0);
  t.like(dial, { conn: 2, address: { host: '192.0.2.9', port: 6_783 }, passwordIndex: 0 });
  t.deepEqual(m.onTimeout(10_000), [], 'one attempt at a time');
  m.onEnded(2, 'refused', 10_000);
  const next = m.nextTimeout()!;
  t.true(next >= 10_500 && next <= 11_500);
  t.deepEqual(m.onTimeout(next - 1), []);
  t.is(m.onTimeout(next).length, 1);
});

test('after a duplicate the next dial begins with the first password again', (t) => {
  const m = maker();
  m.connect(['192.0.2.9'], false, 0);
  m.tryPassword(m.onTimeout(0)[0]!.conn, 1, 0);
  const [second] = m.onTimeout(0);
  t.is(second!.passwordIndex, 1);
  m.onDuplicate(second!.conn, peerName(2), 0);
  t.is(m.onTimeout(2_000)[0]!.passwordIndex, 0);
});

test('a minute of life resets the back-off, a shorter one does not', (t) => {
  const m = maker();
  m.connect(['192.0.2.9'], false, 0);
  let now = 0;
  const failures = (): number => m.targets()[0]!.failures;
  const live = (duration: number): void => {
    const [dial] = m.onTimeout(now);
    m.onRegistered(dial!.conn, peerName(2), endpoint('192.0.2.99').ip, now);
    now += duration;
    m.onDisconnected(peerName(2));
    m.onEnded(dial!.conn, 'lost', now);
    now = m.nextTimeout()!;
  };
  live(1_000);
  live(1_000);
  live(59_000);
  t.is(failures(), 3);
  live(MINUTE);
  t.is(failures(), 1);
});

test('a target whose peer is connected otherwise is not dialled until that ends', (t) => {
  const m = maker();
  m.connect(['192.0.2.9'], false, 0);
  const [dial] = m.onTimeout(0);
  m.onRegistered(3, peerName(2), endpoint('192.0.2.99').ip, 5);
  m.onDuplicate(dial!.conn, peerName(2), 10);
  t.is(m.nextTimeout(), undefined);
  t.true(m.isConnected(m.targets()[0]!));
  m.onDisconnected(peerName(2));
  t.is(m.onTimeout(5_000).length, 1);
});

test('a peer that was heard of, says hello and refuses us is dialled less and less often', (t) => {
  const m = maker();
  const peer = peerName(2);
  m.discover(
    [{ name: peer, addresses: [endpoint('192.0.2.9')], mayDialUs: false, reachable: true }],
    nobody,
    0,
  );
  let dials = 0;
  for (let now = m.nextTimeout()!; now < 10 * MINUTE; now = m.nextTimeout()!) {
    for (const { conn } of m.onTimeout(now)) {
      dials++;
      m.onRegistered(conn, peer, endpoint('192.0.2.9').ip, now);
      m.onDisconnected(peer);
      m.onEnded(conn, 'connection limit reached (2)', now);
    }
  }
  t.true(dials < 25, `${dials} dials`);
});

test('a peer that dials us is dialled at once should that connection end', (t) => {
  const m = maker();
  const peer = peerName(2);
  m.discover(
    [{ name: peer, addresses: [endpoint('192.0.2.9')], mayDialUs: false, reachable: true }],
    nobody,
    0,
  );
  let now = 0;
  for (let i = 0; i < 10; i++) {
    for (const { conn } of m.onTimeout((now = m.nextTimeout()!))) m.onEnded(conn, 'no', now);
  }
  m.onRegistered(1, peer, endpoint('192.0.2.9').ip, now);
  m.onDisconnected(peer);
  t.is(m.nextTimeout(), now);
});

test('of two peers that discover each other the lower name dials at once and the higher waits', (t) => {
  const wanted = (index: number, mayDialUs: boolean): Parameters<ConnectionMaker['discover']>[0] => [
    { name: peerName(index), addresses: [endpoint('192.0.2.9')], mayDialUs, reachable: true },
  ];
  const low = maker(1);
  low.discover(wanted(2, true), nobody, 100);
  t.is(low.nextTimeout(), 100);
  const high = maker(2);
  high.discover(wanted(1, true), nobody, 100);
  t.is(high.nextTimeout(), 3_100);
  const closed = maker(2);
  closed.discover(wanted(1, false), nobody, 100);
  t.is(closed.nextTimeout(), 100, 'unless the other cannot');
});

test('the addresses of a discovered peer are tried in turn, and it is dropped when no longer wanted', (t) => {
  const m = maker();
  const addresses = [endpoint('192.0.2.8'), endpoint('192.0.2.9')];
  m.discover([{ name: peerName(2), addresses, mayDialUs: false, reachable: true }], nobody, 0);
  const hosts: string[] = [];
  for (let i = 0; i < 3; i++) {
    const now = m.nextTimeout()!;
    const [dial] = m.onTimeout(now);
    hosts.push(dial!.address.host);
    m.onEnded(dial!.conn, 'no', now);
  }
  t.deepEqual(hosts, ['192.0.2.8', '192.0.2.9', '192.0.2.8']);
  m.discover([], nobody, 10_000);
  t.is(m.nextTimeout(), undefined);
});

test('a candidate is tried for 24 h, and its back-off is forgotten when it is heard of again', (t) => {
  const m = maker();
  m.restore(peerName(2), [{ host: '192.0.2.9', port: 1 }], DAY, 0);
  let dials = 0;
  let now = 0;
  for (; m.nextTimeout() !== undefined;) {
    now = m.nextTimeout()!;
    for (const { conn } of m.onTimeout(now)) {
      dials++;
      m.onEnded(conn, 'no', now);
    }
  }
  t.is(now, DAY);
  t.true(dials > 700 && dials < 1_500, `${dials}`);
  m.restore(peerName(2), [{ host: '192.0.2.9', port: 1 }], DAY, now);
  for (let i = 0; i < 20; i++) {
    for (const { conn } of m.onTimeout((now = m.nextTimeout()!))) m.onEnded(conn, 'no', now);
  }
  m.discover(
    [{ name: peerName(2), addresses: [endpoint('192.0.2.10')], mayDialUs: false, reachable: true }],
    nobody,
    now,
  );
  t.is(m.nextTimeout(), now);
});

test('the back-off of a peer is forgotten when there is a way to it again, not while there is none', (t) => {
  const m = maker();
  const hear = (reachable: boolean, now: number): void => {
    m.discover(
      [{ name: peerName(2), addresses: [endpoint('192.0.2.9')], mayDialUs: false, reachable }],
      nobody,
      now,
    );
  };
  hear(true, 0);
  let now = 0;
  for (let i = 0; i < 20; i++) {
    for (const { conn } of m.onTimeout((now = m.nextTimeout()!))) m.onEnded(conn, 'no', now);
  }
  const waits = m.nextTimeout()!;
  t.true(waits > now + 30_000);
  hear(true, now);
  hear(false, now);
  t.is(m.nextTimeout(), waits);
  hear(true, now + 1);
  t.is(m.nextTimeout(), now + 1);
});

test('candidates are bounded, the oldest go first', (t) => {
  const m = maker();
  for (let i = 0; i < 1_100; i++) m.restore(peerName(i + 2), [{ host: '192.0.2.9', port: 1 }], DAY, i);
  const names = m.takeCandidates(0).map(({ name }) => name);
  t.is(names.length, 1_024);
  t.false(names.includes(peerName(2)));
  t.true(names.includes(peerName(1_101)));
});

test('dials under way are bounded', (t) => {
  const m = maker(1, false);
  m.connect(
    Array.from({ length: 200 }, (_, i) => `192.0.2.${i}`),
    false,
    0,
  );
  t.is(m.onTimeout(0).length, 64);
});

test('targets are addresses or names, with or without a port', (t) => {
  const table: [string, string | undefined][] = [
    ['192.0.2.1', '192.0.2.1:6783'],
    ['192.0.2.1:80', '192.0.2.1:80'],
    ['2001:DB8::1', '[2001:db8::1]:6783'],
    ['[2001:db8::1]:80', '[2001:db8::1]:80'],
    ['Host-1.example.', 'host-1.example.:6783'],
    ['host:80', 'host:80'],
    ['host:', undefined],
    ['host:99999', undefined],
    ['1.2.3', undefined],
    ['-host', undefined],
    ['ho st', undefined],
    ['http://host', undefined],
  ];
  for (const [input, expected] of table) {
    const address = parseTarget(input, 6_783);
    t.is(address && formatDialAddress(address), expected, input);
  }
});

test('a published address has the text of the target there', (t) => {
  const published = ['192.0.2.1', '2001:db8::1', '::ffff:192.0.2.1', 'fe80::1'].map((ip) => endpoint(ip, 80));
  const texts = published.map((one) => formatDialAddress(dialAddress(one)));
  t.deepEqual(formatPublished(published), texts);
  t.deepEqual(formatPublished(published), texts, 'and another time');
});

/** Runs the maker until `end`; returns how many dials began at each moment. */
function dialsUntil(m: ConnectionMaker, end: number): Record<number, number> {
  const dials: Record<number, number> = {};
  for (let at = m.nextTimeout(); at !== undefined && at <= end; at = m.nextTimeout())
    dials[at] = (dials[at] ?? 0) + m.onTimeout(at).length;
  return dials;
}

test('of many addresses that were asked for four are dialled at once, the others one each second', (t) => {
  const many = Array.from({ length: 8 }, (_, i) => `192.0.2.${i + 2}`);
  const m = maker();
  m.connect(many, false, 0);
  t.deepEqual(dialsUntil(m, 60_000), { 0: 4, 1_000: 1, 2_000: 1, 3_000: 1, 4_000: 1 });
  const alone = maker(1, false);
  alone.connect(many, false, 0);
  t.deepEqual(dialsUntil(alone, 60_000), { 0: 8 }, 'nobody tells of the others without discovery');
  const few = maker();
  few.connect(many.slice(0, 4), false, 0);
  dialsUntil(few, 0);
  few.forget(many.slice(1, 4), 4_000);
  few.connect(many.slice(4, 5), false, 5_000);
  t.deepEqual(dialsUntil(few, 60_000), { 5_000: 1 }, 'a further one is not made to wait');
});

test('of many addresses that all are given, each dials others first', (t) => {
  const many = Array.from({ length: 100 }, (_, i) => `192.0.2.${i + 2}`);
  const dialled = new Map<string, number>();
  for (let seed = 1; seed <= 100; seed++) {
    const m = maker(1, true, seed);
    m.connect(many, false, 0);
    for (const { address } of m.onTimeout(0)) dialled.set(address.host, (dialled.get(address.host) ?? 0) + 1);
  }
  t.true(dialled.size > 90, `${dialled.size} of 100 were dialled by somebody`);
  t.true(Math.max(...dialled.values()) < 15);
});

test('where nobody of many has answered the next address is dialled as soon as one fails', (t) => {
  const many = Array.from({ length: 30 }, (_, i) => `192.0.2.${i + 2}`);
  const m = maker();
  m.connect(many, false, 0);
  const tried = new Set<string>();
  for (let now = 0; now < 100; now++) {
    for (const { conn, address } of m.onTimeout(now)) {
      tried.add(address.host);
      m.onEnded(conn, 'refused', now);
    }
  }
  t.is(tried.size, 30);
  for (let i = 0; i < 4; i++) m.onRegistered(2 * i + 1, peerName(i + 50), endpoint('192.0.2.99').ip, 200);
  const again = Object.entries(dialsUntil(m, 5_900)).filter(([, count]) => count > 0);
  t.true(again.length <= 6, 'those that failed are tried one by one once four have been found');
  const met = maker();
  met.connect(many, false, 0);
  const [first, second] = met.onTimeout(0);
  met.onRegistered(first!.conn, peerName(2), endpoint('192.0.2.99').ip, 1);
  met.onEnded(second!.conn, 'refused', 2);
  t.is(met.nextTimeout(), 1_000, 'who has found the mesh hears of the others');
});

/** Runs the maker until `end` where each dial fails after `takes`; when each address was tried. */
function triesUntil(m: ConnectionMaker, end: number, takes: number): Map<string, number[]> {
  const tries = new Map<string, number[]>();
  const ending: { conn: number; at: number }[] = [];
  for (;;) {
    const now = Math.min(ending[0]?.at ?? end, m.nextTimeout() ?? end);
    if (now >= end) return tries;
    while (ending.length > 0 && ending[0]!.at <= now) m.onEnded(ending.shift()!.conn, 'timed out', now);
    for (const { conn, address } of m.onTimeout(now)) {
      ending.push({ conn, at: now + takes });
      tries.set(address.host, [...(tries.get(address.host) ?? []), now]);
    }
  }
}

for (const [takes, within] of [
  [3_000, 30_000],
  [10_000, 60_000],
] as const) {
  test(`of 100 addresses of which none answers all are tried within ${within / 1_000} s if each takes ${takes / 1_000} s, and again in time`, (t) => {
    const m = maker();
    m.connect(
      Array.from({ length: 100 }, (_, i) => `192.0.2.${i + 2}`),
      false,
      0,
    );
    const tries = triesUntil(m, 90_000, takes);
    t.is(tries.size, 100);
    for (const [first, second] of tries.values()) {
      t.true(first! <= within);
      t.true((second ?? 0) - first! <= takes + 15_000, `${first} and ${second}`);
    }
  });
}

test('who is put off waits for those of now, not for those that were forgotten', (t) => {
  const many = Array.from({ length: 200 }, (_, i) => `198.51.100.${i + 2}`);
  const m = maker();
  m.connect(many, false, 0);
  m.onTimeout(0);
  m.connect(['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', '192.0.2.5', '192.0.2.6'], true, 5_000);
  t.deepEqual(dialsUntil(m, 60_000), { 5_000: 4, 6_000: 1, 7_000: 1 });
});

test('a single address that is asked for later does not wait behind many', (t) => {
  const m = maker();
  m.connect(
    Array.from({ length: 200 }, (_, i) => `198.51.100.${i + 2}`),
    false,
    0,
  );
  dialsUntil(m, 500);
  m.connect(['192.0.2.1'], false, 600);
  t.deepEqual(
    m.onTimeout(600).map(({ address }) => address.host),
    ['192.0.2.1'],
  );
});

test('a host that has moved does not dial at once whom it has put off', (t) => {
  const m = maker();
  m.connect(
    Array.from({ length: 30 }, (_, i) => `192.0.2.${i + 2}`),
    false,
    0,
  );
  const [dial] = m.onTimeout(0);
  m.onRegistered(dial!.conn, peerName(2), endpoint('192.0.2.99').ip, 10);
  m.onMoved(100);
  t.deepEqual(dialsUntil(m, 900), {});
});

test('1,024 addresses may be asked for at a time, others in their place, and all be forgotten', (t) => {
  const some = (from: number, count: number): string[] =>
    Array.from({ length: count }, (_, i) => `host${from + i}.example`);
  const m = maker();
  t.is(m.connect(some(0, 1_000), false, 0), undefined);
  t.is(m.connect(some(0, 1_000), false, 0), undefined, 'the same');
  t.is(m.connect(some(1_000, 25), false, 0), 'more than 1024 targets');
  t.is(m.given().length, 1_000);
  t.is(m.connect(some(2_000, 1_000), true, 0), undefined);
  t.is(m.forget(some(2_000, 1_000), 0), undefined);
  t.deepEqual(m.given(), []);
});

for (const given of [2, 16]) {
  test(`${given} addresses that were asked for are dialled before 200 peers that are gone`, (t) => {
    const m = maker();
    for (let i = 0; i < 200; i++)
      m.restore(peerName(i + 1_000), [endpoint(`198.51.100.${i}`)].map(dialAddress), DAY, 0);
    m.connect(
      Array.from({ length: given }, (_, i) => `192.0.2.${i + 2}`),
      false,
      0,
    );
    const dials = m.onTimeout(0);
    t.is(dials.length, 64);
    const first = dials.slice(0, Math.min(given, 4));
    t.true(first.every(({ address }) => address.host.startsWith('192.0.2.')));
    for (const { conn } of dials) m.onEnded(conn, 'timed out', 10_000);
    const tried = new Set(dials.map(({ address }) => address.host));
    const others = m.onTimeout(20_000).filter(({ address }) => !address.host.startsWith('192.0.2.'));
    t.true(
      others.every(({ address }) => !tried.has(address.host)),
      'those that have waited longest',
    );
  });
}

test('the same address in many spellings is one target', (t) => {
  const m = maker();
  const spellings = Array.from({ length: 600 }, (_, i) => [`host${i}.example`, `HOST${i}.example:6783`]);
  t.is(m.connect(spellings.flat(), true, 0), undefined);
  t.is(m.given().length, 600);
});

test('64 dials are under way at once, however many have dialled us', (t) => {
  const m = maker(1, false);
  for (let i = 0; i < 500; i++)
    m.onRegistered(10_001 + 2 * i, peerName(i + 2), endpoint('198.51.100.1').ip, 0);
  const many = Array.from({ length: 200 }, (_, i) => `host${i}.example`);
  m.connect(many, false, 0);
  const dials = m.onTimeout(0);
  t.is(dials.length, 64);
  m.onRegistered(dials[0]!.conn, peerName(1_000), endpoint('192.0.2.1').ip, 1);
  m.onEnded(dials[1]!.conn, 'refused', 1);
  t.is(m.onTimeout(1).length, 2, 'one was answered, one failed');
});

test('at the connection limit only who is outside is dialled, one at a time', (t) => {
  const inside = new Set<string>([peerName(2)]);
  const m = maker(1, true, 1, (name) => inside.has(name));
  m.connect(['192.0.2.2', '192.0.2.8', '192.0.2.9'], false, 0);
  for (const { conn, address } of m.onTimeout(0)) {
    if (address.host === '192.0.2.2') m.onRegistered(conn, peerName(2), endpoint('192.0.2.2').ip, 0);
    else m.onEnded(conn, 'refused', 0);
    if (address.host !== '192.0.2.2') continue;
    m.onDisconnected(peerName(2));
    m.onEnded(conn, 'no room', 0);
  }
  m.allowDials(false);
  const [first, ...others] = m.onTimeout(60_000);
  t.deepEqual(others, []);
  t.is(m.nextTimeout(), undefined);
  m.onEnded(first!.conn, 'refused', 60_000);
  const [second] = m.onTimeout(60_000);
  t.deepEqual([first!.address.host, second!.address.host].sort(), ['192.0.2.8', '192.0.2.9']);
  m.onEnded(second!.conn, 'refused', 60_000);
  inside.clear();
  m.verify(() => undefined, 60_000);
  t.is(m.onTimeout(60_000)[0]!.address.host, '192.0.2.2');
});

const wanted = (number: number, ...ips: string[]) => ({
  name: peerName(number),
  addresses: ips.map(endpoint),
  mayDialUs: false,
  reachable: true,
});

for (const isDuplicate of [true, false]) {
  test(`where ${isDuplicate ? 'a second connection' : 'one'} to another peer was found, the next address is tried later`, (t) => {
    const m = maker();
    m.discover([wanted(7, '192.0.2.7', '198.51.100.7')], nobody, 0);
    const [dial] = m.onTimeout(0);
    t.is(dial!.address.host, '192.0.2.7');
    if (isDuplicate) m.onDuplicate(dial!.conn, peerName(3), 10);
    else m.onRegistered(dial!.conn, peerName(3), endpoint('192.0.2.7').ip, 10);
    m.discover([wanted(7, '192.0.2.7', '198.51.100.7')], nobody, 20);
    t.like(m.targets()[0], {
      failures: 1,
      error: `${formatDialAddress(dial!.address)} is ${peerName(3)}, not ${peerName(7)}`,
    });
    t.true(m.nextTimeout()! >= 510);
    const [next] = m.onTimeout(10_000);
    t.is(next!.address.host, '198.51.100.7');
    m.onRegistered(next!.conn, peerName(7), endpoint('198.51.100.7').ip, 10_000);
    t.true(m.isConnected(m.targets()[0]!));
  });
}

test('a peer that is gone is no longer tried once its address is to be forgotten', (t) => {
  const m = maker();
  m.restore(peerName(5), [dialAddress(endpoint('192.0.2.5'))], DAY, 0);
  m.restore(peerName(6), [dialAddress(endpoint('192.0.2.6'))], DAY, 0);
  m.forget(['192.0.2.5'], 0);
  t.deepEqual(
    m.onTimeout(0).map(({ address }) => address.host),
    ['192.0.2.6'],
  );
  t.deepEqual(
    m.takeCandidates(0).map(({ name }) => name),
    [peerName(6)],
  );
});

test('who was asked for and is part of a sparse mesh by way of others is not dialled, until it no longer is', (t) => {
  const m = maker();
  m.connect(['192.0.2.2', '192.0.2.3', 'host4.example'], false, 0);
  m.serve([{ name: peerName(2), addresses: [endpoint('192.0.2.2')] }]);
  const [first, second] = m.onTimeout(0);
  t.deepEqual([first!.address.host, second!.address.host], ['192.0.2.3', 'host4.example']);
  m.onRegistered(second!.conn, peerName(4), endpoint('192.0.2.99').ip, 10);
  m.onDisconnected(peerName(4));
  m.onEnded(second!.conn, 'shed', 20);
  m.serve([
    { name: peerName(2), addresses: [endpoint('192.0.2.2')] },
    { name: peerName(4), addresses: [endpoint('192.0.2.4')] },
  ]);
  t.is(m.nextTimeout(), undefined);
  m.serve([{ name: peerName(2), addresses: [endpoint('192.0.2.2')] }]);
  t.deepEqual(Object.values(dialsUntil(m, 60_000)), [1]);
  m.serve([]);
  t.is(m.onTimeout(60_000).length, 1);
});

test('who has four connections dials a peer that was heard of a second later, and not if it is unwanted by then', (t) => {
  const wanted = {
    name: peerName(90),
    addresses: [endpoint('192.0.2.90')],
    mayDialUs: true,
    reachable: true,
  };
  const m = maker();
  for (let i = 0; i < 4; i++) m.onRegistered(2 * i + 1, peerName(i + 2), endpoint('192.0.2.99').ip, 0);
  m.discover([wanted], nobody, 5_000);
  t.is(m.nextTimeout(), 6_000);
  m.discover([], nobody, 5_500);
  t.is(m.nextTimeout(), undefined);
  m.discover([wanted], nobody, 7_000);
  m.discover([wanted], nobody, 7_900);
  t.deepEqual(dialsUntil(m, 60_000), { 8_000: 1 });
  const young = maker();
  for (let i = 0; i < 3; i++) young.onRegistered(2 * i + 1, peerName(i + 2), endpoint('192.0.2.99').ip, 0);
  young.discover([wanted], nobody, 5_000);
  t.is(young.nextTimeout(), 5_000);
});
