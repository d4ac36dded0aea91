import { formatIp } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { CheckProblem } from './effects.ts';
import type { RingEntry } from './entries.ts';
import type { Holdings } from './holdings.ts';
import type { NamedPeer } from './peer-directory.ts';
import { labelled } from './peer-directory.ts';
import type { AddressRange, Span } from './range.ts';
import { clipSpans, spansOf, spanSize, unionSpans, withoutSpans } from './range.ts';
import { fingerprint } from './ring-reply.ts';
import type { Ring } from './ring.ts';
import { isComplete, NO_GENERATION, spansWhere } from './ring.ts';
import type { SharedState } from './shared-state.ts';

/** What one node says that it holds. */
export interface NodeFacts extends NamedPeer {
  readonly generation: string;
  readonly clusterId: string;
  /** Fingerprint of its ring. */
  readonly ring: number;
  readonly used: readonly Span[];
  readonly quarantined: number;
}

export interface SurveyFacts {
  readonly range: AddressRange;
  /** That others have spoken of since the start, as text. */
  readonly otherRanges: readonly string[];
  readonly clusterId: string;
  readonly ring: Ring;
  /** This node first. */
  readonly nodes: readonly NodeFacts[];
  /** In reach, but without an answer. */
  readonly silent: readonly NamedPeer[];
  readonly nicknameOf: (name: PeerName) => string;
}

/** What this node holds. */
export function ownFacts(
  holdings: Holdings,
  shared: SharedState,
  nickname: string,
  quarantined: number,
): NodeFacts {
  const { self, clusterId = '', allocations } = holdings;
  const home = shownRing(holdings, shared);
  return {
    name: self.owner,
    nickname,
    generation: self.generation,
    clusterId,
    ring: fingerprint(home === undefined ? [] : [home]),
    used: spansOf(allocations.handedOut()),
    quarantined,
  };
}

/** What others may see of this node's ring. */
export function shownRing({ clusterId, range }: Holdings, shared: SharedState): RingEntry | undefined {
  if (clusterId === undefined) return undefined;
  const ring = shared.ring(clusterId, range.text);
  return ring.length === 0 ? undefined : { type: 'ring', clusterId, range, ring };
}

/** Everything that is wrong between the nodes that answered, each with what to do about it. */
export function surveyProblems(facts: SurveyFacts): CheckProblem[] {
  const { range, ring } = facts;
  const members = facts.nodes.filter(({ clusterId }) => clusterId === facts.clusterId);
  return [
    ...facts.silent.map((peer) => ({
      problem: `${labelled(peer)} is in reach and does not answer`,
      remedy: 'look at its log; run ipam check again',
    })),
    ...otherRanges(facts),
    ...otherClusters(facts),
    ...(facts.clusterId !== '' && !isComplete(ring, range.size)
      ? [
          {
            problem: `${range.size - spanSize(ring)} addresses have no owner that is known here`,
            remedy: 'wait a minute for the rings of the others; run ipam check again',
          },
        ]
      : []),
    ...sharedAddresses(members, range),
    ...members.flatMap((node) => foreignAddresses(node, facts)),
    ...unservedSpace(members, facts),
  ];
}

function otherRanges({ range, otherRanges: others }: SurveyFacts): CheckProblem[] {
  if (others.length === 0) return [];
  return [
    {
      problem: `peers use another address range: ${others.join(', ')}, this host ${range.text}`,
      remedy: 'launch all hosts with one --ipalloc-range (reset those that have another one first)',
    },
  ];
}

/** Those of another range never join. */
function otherClusters({ nodes, clusterId, otherRanges: ranges }: SurveyFacts): CheckProblem[] {
  if (ranges.length > 0) return [];
  const others = nodes.filter((node) => node.clusterId !== '' && node.clusterId !== clusterId);
  if (others.length === 0) return [];
  return [
    {
      problem: `two clusters: ${others.map(labelled).join(', ')} share${others.length === 1 ? 's' : ''} another ring`,
      remedy:
        'on the side with the higher cluster id (status ipam) release all addresses: its hosts then join the other by themselves',
    },
  ];
}

interface Shared {
  readonly a: NodeFacts;
  readonly b: NodeFacts;
  readonly spans: Span[];
}

/** One pass over all spans by their start: whose begins before another's has ended shares addresses with it. */
function sharedAddresses(nodes: readonly NodeFacts[], range: AddressRange): CheckProblem[] {
  const shared = new Map<string, Shared>();
  let open: UsedSpan[] = [];
  for (const span of usedSpans(nodes)) {
    open = open.filter(({ end }) => end > span.start);
    for (const other of open) {
      const [a, b] = other.node < span.node ? [other.node, span.node] : [span.node, other.node];
      const pair = shared.get(`${a} ${b}`) ?? { a: nodes[a]!, b: nodes[b]!, spans: [] };
      pair.spans.push({ start: span.start, end: Math.min(span.end, other.end) });
      shared.set(`${a} ${b}`, pair);
    }
    open.push(span);
    // What all nodes have handed out would be as many problems as there are pairs of nodes.
    if (shared.size > MAX_PAIRS) break;
  }
  return [...shared.values()].map(({ a, b, spans }) => ({
    problem: `${listed(spans, range)} handed out by both ${labelled(a)} and ${labelled(b)}`,
    remedy: 'detach or release them on one of the two',
  }));
}

interface UsedSpan extends Span {
  /** Its place in the list of nodes. */
  readonly node: number;
}

function usedSpans(nodes: readonly NodeFacts[]): UsedSpan[] {
  return nodes
    .flatMap(({ used }, node) => used.map(({ start, end }) => ({ start, end, node })))
    .sort((a, b) => a.start - b.start);
}

function foreignAddresses(node: NodeFacts, { range, ring, nicknameOf }: SurveyFacts): CheckProblem[] {
  const own = spansWhere(ring, (value) => value.owner === node.name && isOf(node, value.generation));
  const foreign = withoutSpans(node.used, own);
  if (foreign.length === 0) return [];
  const owners = ring.filter((segment) => clipSpans(foreign, segment).length > 0);
  const names = [...new Set(owners.map(({ owner }) => owner))];
  const whose = names.map((name) => labelled({ name, nickname: nicknameOf(name) })).join(', ');
  return [
    {
      problem: `${listed(foreign, range)} in use on ${labelled(node)} and owned by ${whose}`,
      remedy: 'it claims them back by itself; if that does not end, release them there and attach anew',
    },
  ];
}

function unservedSpace(nodes: readonly NodeFacts[], { ring, nicknameOf }: SurveyFacts): CheckProblem[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const sizes = new Map<PeerName, number>();
  for (const { owner, generation, start, end } of ring) {
    const node = byName.get(owner);
    if (node !== undefined && isOf(node, generation)) continue;
    sizes.set(owner, (sizes.get(owner) ?? 0) + end - start);
  }
  return [...sizes].map(([name, size]) => {
    const label = labelled({ name, nickname: nicknameOf(name) });
    const former = byName.has(name) ? ' in a former life' : '';
    return {
      problem: `${size} addresses belong to ${label}${former}, which does not answer for them`,
      remedy: `if it will not come back: weave-ts rmpeer ${name}`,
    };
  });
}

/** What is worth a line and is no problem. */
export function surveyNotes({ nodes, clusterId }: SurveyFacts): string[] {
  // Gossip makes rings equal within seconds, unless they change all the time.
  const [first, ...others] = nodes.filter((node) => node.clusterId === clusterId);
  const different = others.filter(({ ring }) => ring !== first!.ring);
  if (different.length === 0) return [];
  const know = different.length === 1 ? 'knows' : 'know';
  return [
    `${different.map(labelled).join(', ')} ${know} another state of the ring than this host: ` +
      'normal while addresses change hands; if it stays so for minutes, look at the log there',
  ];
}

function isOf(node: NodeFacts, generation: string): boolean {
  return generation === NO_GENERATION || generation === node.generation;
}

const SHOWN = 5;
const MAX_PAIRS = 100;

/** "10.32.0.7, 10.32.0.9-10.32.0.12 and 3 more are" */
function listed(spans: readonly Span[], range: AddressRange): string {
  const text = unionSpans(spans)
    .slice(0, SHOWN)
    .map(({ start, end }) => {
      const first = formatIp(range.ipAt(start));
      return end - start === 1 ? first : `${first}-${formatIp(range.ipAt(end - 1))}`;
    })
    .join(', ');
  const more = spans.length > SHOWN ? ` and ${spans.length - SHOWN} more runs` : '';
  return `${text}${more} ${spanSize(spans) === 1 ? 'is' : 'are'}`;
}
