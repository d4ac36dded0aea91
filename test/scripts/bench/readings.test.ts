import test from 'ava';
import { busyTicks, processTicks } from '../../../scripts/bench/cpu.ts';
import { parsePlan } from '../../../scripts/bench/options.ts';
import { readRoundTrips } from '../../../scripts/bench/rtt.ts';

test('busy time is all but idle, waiting, stolen and guest time', (t) => {
  const stat = 'cpu  1 20 300 4000 50000 600000 7000000 80000000 900000000 1\ncpu0 9 9 9 9 9 9 9 9 9 9\n';
  t.is(busyTicks(stat), 7_600_321);
});

test("a process's time is utime and stime, whatever its name", (t) => {
  t.is(processTicks('42 (a) b (c) S 1 42 42 0 -1 4194304 500 0 0 0 123 456 7 8 20 0 11 0 100'), 579);
});

test('round-trip times are read from the lines of ping, in microseconds, duplicates left out', (t) => {
  const output = `PING 10.32.0.2 (10.32.0.2) 56(84) bytes of data.
64 bytes from 10.32.0.2: icmp_seq=1 ttl=64 time=0.062 ms
64 bytes from 10.32.0.2: icmp_seq=1 ttl=64 time=0.070 ms (DUP!)
64 bytes from 10.32.0.2: icmp_seq=2 ttl=64 time=12 ms

2 packets transmitted, 2 received, 0% packet loss, time 5ms
`;
  t.deepEqual(readRoundTrips(output).map(Math.round), [62, 12_000]);
});

test('options choose contenders, measures, rounds and files', (t) => {
  const plan = parsePlan(['--only', 'fastd,weave-ts', '--rounds', '5', '--measures', 'tcp,rtt']);
  t.deepEqual(
    plan.contenders.map(({ name }) => name),
    ['weave-ts', 'fastd'],
  );
  t.deepEqual([plan.rounds, plan.groups, plan.out], [5, ['tcp', 'rtt'], 'docs/bench']);
  const quick = parsePlan(['--quick']);
  t.deepEqual([quick.rounds, quick.out, quick.limitSeconds], [1, undefined, 300]);
  t.is(parsePlan([]).limitSeconds, 3_420);
  t.is(parsePlan(['--minutes', '38']).limitSeconds, 2_280);
});

test('a wrong option says what is known', (t) => {
  const known = { message: /known are .*wireguard-go/ };
  t.throws(() => parsePlan(['--only', 'openvpn']), known);
  t.throws(() => parsePlan(['--measures', 'latency']), { message: /known are tcp, udp, rtt, cpu/ });
  t.throws(() => parsePlan(['--rounds', '0']), { message: /from 1 to/ });
  t.throws(() => parsePlan(['--fast']), { message: /--fast/ });
});
