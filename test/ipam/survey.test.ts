import test from 'ava';
import { parseCidr } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { AddressRange, type Span } from '../../ipam/range.ts';
import { initialRing } from '../../ipam/ring.ts';
import type { NodeFacts, SurveyFacts } from '../../ipam/survey.ts';
import { surveyNotes, surveyProblems } from '../../ipam/survey.ts';

const clusterId = '01'.repeat(16);
const range = new AddressRange(parseCidr('10.32.0.0/12')!);

function name(n: number): PeerName {
  return `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}` as PeerName;
}

function node(n: number, used: readonly Span[]): NodeFacts {
  const generation = n.toString(16).padStart(16, '0');
  return { name: name(n), nickname: '', generation, clusterId, ring: 1, used, quarantined: 0 };
}

function facts(nodes: readonly NodeFacts[]): SurveyFacts {
  const owners = nodes.map(({ name: owner, generation }) => ({ owner, generation }));
  const ring = initialRing(range.size, owners);
  return { range, otherRanges: [], clusterId, ring, nodes, silent: [], nicknameOf: () => '' };
}

function shared(nodes: readonly NodeFacts[]): string[] {
  return surveyProblems(facts(nodes))
    .map(({ problem }) => problem)
    .filter((problem) => problem.includes('handed out by both'));
}

test('peers of another address range are named as such, not as a cluster that could join', (t) => {
  const stranger = { ...node(2, []), clusterId: '02'.repeat(16) };
  const seen = { ...facts([node(1, []), stranger]), otherRanges: ['10.96.0.0/12'] };
  const problems = surveyProblems(seen).map(({ problem }) => problem);
  t.is(problems[0], 'peers use another address range: 10.96.0.0/12, this host 10.32.0.0/12');
  t.false(problems.some((problem) => problem.startsWith('two clusters')));
});

test('addresses of several nodes are told pair by pair, however their spans lie', (t) => {
  const nodes = [
    node(1, [
      { start: 1, end: 10 },
      { start: 20, end: 30 },
    ]),
    node(2, [
      { start: 5, end: 7 },
      { start: 30, end: 31 },
    ]),
    node(3, [
      { start: 6, end: 8 },
      { start: 29, end: 31 },
    ]),
  ];
  t.deepEqual(shared(nodes), [
    `10.32.0.5-10.32.0.6 are handed out by both ${name(1)} and ${name(2)}`,
    `10.32.0.6-10.32.0.7, 10.32.0.29 are handed out by both ${name(1)} and ${name(3)}`,
    `10.32.0.6, 10.32.0.30 are handed out by both ${name(2)} and ${name(3)}`,
  ]);
});

test('a thousand nodes with scattered addresses cost one pass, and all nodes with all addresses a bounded list', (t) => {
  const scattered = Array.from({ length: 1_000 }, (_, n) =>
    node(
      n + 1,
      Array.from({ length: 100 }, (_, i) => ({ start: 1_000 * n + 10 * i, end: 1_000 * n + 10 * i + 1 })),
    ),
  );
  t.deepEqual(shared(scattered), []);
  const everything = Array.from({ length: 1_000 }, (_, n) => node(n + 1, [{ start: 0, end: range.size }]));
  t.true(shared(everything).length < 300);
});

test('another state of the ring is a note and no problem', (t) => {
  const odd = facts([node(1, []), { ...node(2, []), ring: 2 }]);
  t.deepEqual(surveyProblems(odd), []);
  t.regex(surveyNotes(odd).join(), new RegExp(`^${name(2)} knows another state of the ring`));
  t.deepEqual(surveyNotes(facts([node(1, []), node(2, [])])), []);
});
