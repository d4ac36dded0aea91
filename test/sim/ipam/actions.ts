import type { Family } from '../../../core/address.ts';
import { randomBelow, randomFraction, SeededRandom } from '../../../core/random.ts';
import { MINUTE, SECOND, type Millis } from '../../../core/time.ts';
import type { Noise } from './faulty-ipam.ts';
import { CRASH_STEPS, type CrashStep } from './ipam-node.ts';

/** One thing that is done to the mesh. Nodes are numbered from 1; an id is a number of its node. */
export type Deed =
  | { readonly do: 'allocate' | 'release'; readonly node: number; readonly id: number }
  | { readonly do: 'claim'; readonly node: number; readonly id: number; readonly offset: number }
  /** Whoever asked last goes away. */
  | { readonly do: 'cancel'; readonly node: number }
  /** The daemon ends; `silent`: its host does, and comes back. */
  | { readonly do: 'crash'; readonly node: number; readonly silent: boolean }
  | { readonly do: 'crash-at'; readonly node: number; readonly step: CrashStep }
  | { readonly do: 'start'; readonly node: number }
  /** The state directory is copied; and put back later, which ends the daemon. */
  | { readonly do: 'snapshot' | 'roll-back'; readonly node: number }
  /** The host is gone, and with it all that ran on it; a later `start` is the operator who finds it again. */
  | { readonly do: 'kill'; readonly node: number }
  /** The host is set up anew: nothing runs on it, and its daemon begins without state. */
  | { readonly do: 'lose'; readonly node: number }
  /** rmpeer. */
  | {
      readonly do: 'remove';
      readonly node: number;
      readonly peer: number;
      readonly now: boolean;
      readonly strict: boolean;
    }
  /** The disk is full from now on, or has room again. */
  | { readonly do: 'fill' | 'empty'; readonly node: number }
  | { readonly do: 'reset'; readonly node: number; readonly force: boolean }
  /** One way only. */
  | { readonly do: 'cut'; readonly from: number; readonly to: number }
  /** Nodes whose bit is set in `half` and the others do not reach each other. */
  | { readonly do: 'part'; readonly half: number }
  | { readonly do: 'heal' }
  | { readonly do: 'noise'; readonly noise: Noise };

export type Action = Deed & {
  /** How long the mesh runs before the next action. */
  readonly wait: Millis;
};

const INITS = ['consensus', 'consensus', 'consensus', 'consensus', 'seed', 'seed', 'two-seeds'] as const;
export const RISKS = ['none', 'take-overs', 'roll-backs'] as const;
type Risk = (typeof RISKS)[number];

/** A run is a function of this alone. */
export interface Scenario {
  /** Of the network's and the nodes' own randomness. */
  readonly seed: number;
  readonly nodes: number;
  /** The range has 2^(32 - prefix) addresses, of either family. */
  readonly prefix: number;
  readonly family: Family;
  /** `two-seeds`: those that have odd numbers have another list than the others, and do not reach them at first. */
  readonly init: 'consensus' | 'seed' | 'two-seeds';
  /** The last so many nodes take no part in the first ring. */
  readonly observers: number;
  /** The last so many nodes join when an action starts them. */
  readonly late: number;
  /** What operators do: nothing; take-overs and resets; state directories rolled back too. */
  readonly risk: Risk;
  readonly actions: readonly Action[];
}

const IDS = 8;

/** The range of a scenario. */
export function rangeOf({ prefix, family }: Pick<Scenario, 'prefix' | 'family'>): string {
  return family === 4 ? `10.32.0.0/${prefix}` : `2001:db8:32::/${prefix + 96}`;
}

type Draw = (random: SeededRandom, scenario: Omit<Scenario, 'actions'>) => Deed;

const anyNode = (random: SeededRandom, nodes: number): number => 1 + randomBelow(random, nodes);

type Weighted = readonly (readonly [weight: number, draw: Draw])[];

const TAKE_OVERS: Weighted = [
  [5, (random, { nodes }) => ({ do: 'kill', node: anyNode(random, nodes) })],
  [3, (random, { nodes }) => ({ do: 'lose', node: anyNode(random, nodes) })],
  [14, drawRemove],
  [
    2,
    (random, { nodes }) => ({
      do: 'reset',
      node: anyNode(random, nodes),
      force: randomBelow(random, 3) === 0,
    }),
  ],
];
const ROLL_BACKS: Weighted = [
  [6, (random, { nodes }) => ({ do: 'snapshot', node: anyNode(random, nodes) })],
  [4, (random, { nodes }) => ({ do: 'roll-back', node: anyNode(random, nodes) })],
];

/** What may be done, and how often. */
const DEEDS: Weighted = [
  [
    30,
    (random, { nodes }) => ({ do: 'allocate', node: anyNode(random, nodes), id: randomBelow(random, IDS) }),
  ],
  [
    14,
    (random, { nodes }) => ({ do: 'release', node: anyNode(random, nodes), id: randomBelow(random, IDS) }),
  ],
  [8, drawClaim],
  [2, (random, { nodes }) => ({ do: 'cancel', node: anyNode(random, nodes) })],
  [
    4,
    (random, { nodes }) => ({
      do: 'crash',
      node: anyNode(random, nodes),
      silent: randomBelow(random, 3) === 0,
    }),
  ],
  [8, drawCrashAt],
  [16, (random, { nodes }) => ({ do: 'start', node: anyNode(random, nodes) })],
  [2, (random, { nodes }) => ({ do: 'cut', from: anyNode(random, nodes), to: anyNode(random, nodes) })],
  [5, (random, { nodes }) => ({ do: 'part', half: 1 + randomBelow(random, 2 ** nodes - 2) })],
  [5, () => ({ do: 'heal' })],
  [2, (random, { nodes }) => ({ do: 'fill', node: anyNode(random, nodes) })],
  [3, (random, { nodes }) => ({ do: 'empty', node: anyNode(random, nodes) })],
  [4, drawNoise],
];

function drawClaim(random: SeededRandom, { nodes, prefix }: Omit<Scenario, 'actions'>): Deed {
  const offset = randomBelow(random, 2 ** (32 - prefix));
  return { do: 'claim', node: anyNode(random, nodes), id: randomBelow(random, IDS), offset };
}

function drawRemove(random: SeededRandom, { nodes }: Omit<Scenario, 'actions'>): Deed {
  const [node, peer] = [anyNode(random, nodes), anyNode(random, nodes)];
  const [now, strict] = [randomBelow(random, 2) === 0, randomBelow(random, 4) === 0];
  return { do: 'remove', node, peer, now, strict };
}

function drawCrashAt(random: SeededRandom, { nodes }: Omit<Scenario, 'actions'>): Deed {
  const step = CRASH_STEPS[randomBelow(random, CRASH_STEPS.length)]!;
  return { do: 'crash-at', node: anyNode(random, nodes), step };
}

function drawNoise(random: SeededRandom): Deed {
  const level = [0, 0.05, 0.2, 0.5][randomBelow(random, 4)]!;
  const delay = [0, 50, 1_000, 5_000][randomBelow(random, 4)]!;
  return { do: 'noise', noise: { loss: level, duplication: level, delay } };
}

/** Often several things happen during one commit; sometimes timers of minutes go by. */
function drawWait(random: SeededRandom): Millis {
  const dice = randomFraction(random);
  if (dice < 0.3) return 0;
  if (dice < 0.55) return randomBelow(random, 20);
  if (dice < 0.85) return randomBelow(random, 3 * SECOND);
  if (dice < 0.98) return randomBelow(random, 40 * SECOND);
  return randomBelow(random, 6 * MINUTE);
}

export function drawScenario(seed: number): Scenario {
  const random = new SeededRandom(seed);
  const nodes = 3 + Math.min(randomBelow(random, 4), randomBelow(random, 4));
  const rest = {
    seed,
    nodes,
    prefix: 28 - Math.min(randomBelow(random, 3), randomBelow(random, 3)),
    family: randomBelow(random, 4) === 0 ? (6 as const) : (4 as const),
    init: INITS[randomBelow(random, INITS.length)]!,
    observers: Math.max(0, randomBelow(random, 4) - 2),
    late: Math.max(0, randomBelow(random, 4) - 2),
    risk: RISKS[randomBelow(random, RISKS.length)]!,
  };
  const count = 20 + randomBelow(random, 30);
  const actions = Array.from({ length: count }, () => {
    return { ...drawDeed(random, rest), wait: drawWait(random) };
  });
  return { ...rest, actions };
}

function drawDeed(random: SeededRandom, rest: Omit<Scenario, 'actions'>): Deed {
  const deeds = [
    ...DEEDS,
    ...(rest.risk === 'none' ? [] : TAKE_OVERS),
    ...(rest.risk === 'roll-backs' ? ROLL_BACKS : []),
  ];
  const total = deeds.reduce((sum, [weight]) => sum + weight, 0);
  let left = randomFraction(random) * total;
  for (const [weight, draw] of deeds) {
    left -= weight;
    if (left < 0) return draw(random, rest);
  }
  return { do: 'heal' };
}
