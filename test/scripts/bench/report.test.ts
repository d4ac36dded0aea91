import test from 'ava';
import { chart } from '../../../scripts/bench/chart.ts';
import { shortcomings } from '../../../scripts/bench/completeness.ts';
import { markdownReport } from '../../../scripts/bench/report-markdown.ts';
import type { Results, Turn } from '../../../scripts/bench/results.ts';

const turns: Turn[] = [
  { contender: 'weave-ts', round: 1, figures: { host: {}, pod: { tcp1: 5, udp64Lossless: 70 } } },
  { contender: 'weave-ts', round: 2, figures: { host: {}, pod: { tcp1: 7 } } },
  { contender: 'fastd', round: 1, figures: { host: {}, pod: { tcp1: 1 } } },
];

const results: Results = {
  began: '2026-01-01T00:00:00.000Z',
  minutes: 1,
  machine: { kernel: 'k', cpu: 'c', cores: 2, memoryGigabytes: 8, node: 'v20', loadBefore: 0 },
  groups: ['tcp'],
  effort: {
    warmUpSeconds: 0,
    tcpSeconds: 1,
    tcpOmit: 0,
    udpSeconds: 1,
    udpSteps: 1,
    probes: 1,
    idleSeries: 1,
  },
  contenders: [
    { name: 'weave-ts', title: 'weave-ts', configuration: 'x', version: '1' },
    { name: 'fastd', title: 'fastd <TAP> & more', configuration: 'y', version: '22' },
  ],
  turns,
  failures: [],
};

test('a table shows medians with their range, a single value bare, and a dash for what is missing', (t) => {
  const report = markdownReport(results);
  t.regex(report, /\| weave-ts +\| +6\.00 \(5\.00-7\.00\) \|/);
  t.regex(report, /\| weave-ts +\| +70\.0 \|/);
  t.regex(report, /\| fastd <TAP> & more +\| +- \|/);
  t.notRegex(report, /Host to host/);
});

test('a chart draws bars in proportion and escapes labels', (t) => {
  const svg = chart(results);
  const widths = [...svg.matchAll(/<rect x="\d+" y="\d+" width="([\d.]+)"/g)].map((match) =>
    Number(match[1]),
  );
  t.true(Math.abs(widths[0]! / widths[1]! - 6) < 0.1);
  t.true(svg.includes('fastd &lt;TAP&gt; &amp; more'));
  t.is(svg.match(/<text/g)?.length, svg.match(/<\/text>/g)?.length);
});

test('a run falls short where something failed, was not measured, or gave nothing', (t) => {
  t.deepEqual(shortcomings([{ name: 'weave-ts' }, { name: 'fastd' }], turns, []), []);
  t.deepEqual(shortcomings([{ name: 'tinc' }], turns, []), ['tinc: not measured']);
  const idle: Turn = {
    contender: 'tinc',
    round: 1,
    figures: { host: {}, pod: { tcp1: 0, udp64Flood: NaN, udp64Lossless: 0, rttIdleLost: 0 } },
  };
  const failure = { contender: 'tinc', round: 1, what: 'start', message: 'm' };
  t.deepEqual(shortcomings([{ name: 'tinc' }], [idle], [failure]), [
    'tinc: round 1: start failed',
    'tinc: round 1: pod: tcp1 is 0',
    'tinc: round 1: pod: udp64Flood is NaN',
  ]);
});
