import { MINUTE, SECOND } from '../../../core/time.ts';
import type { Action, Scenario } from './actions.ts';

/** Whether a scenario still breaks the promise that is looked at. */
export type Fails = (scenario: Scenario) => boolean;

const WAITS = [0, 10, 500, 2 * SECOND, 35 * SECOND, MINUTE] as const;

/**
 * A smaller scenario that still fails: leaves out runs of actions, then single ones, as long as that helps (Zeller,
 * "Simplifying and isolating failure-inducing input"), then makes what is left plainer. Tries at most `budget` runs.
 */
export function shrink(scenario: Scenario, fails: Fails, budget = 600): Scenario {
  let left = budget;
  const tries: Fails = (candidate) => left-- > 0 && fails(candidate);
  let smallest = scenario;
  for (let before = Infinity; before > sizeOf(smallest) && left > 0;) {
    before = sizeOf(smallest);
    smallest = withPlainerActions(withFewerActions(withPlainerMesh(smallest, tries), tries), tries);
  }
  return smallest;
}

function sizeOf({ actions, nodes, observers, late }: Scenario): number {
  return (
    actions.reduce((sum, { wait }) => sum + 100 + Math.log2(1 + wait), 0) + 1_000 * nodes + observers + late
  );
}

function withFewerActions(scenario: Scenario, fails: Fails): Scenario {
  let { actions } = scenario;
  for (let length = Math.ceil(actions.length / 2); length >= 1; length = Math.floor(length / 2)) {
    for (let at = actions.length - length; at > -length; at -= length) {
      const fewer = actions.filter((_, i) => i < at || i >= at + length);
      if (fewer.length < actions.length && fails({ ...scenario, actions: fewer })) actions = fewer;
    }
  }
  return { ...scenario, actions };
}

function withPlainerActions(scenario: Scenario, fails: Fails): Scenario {
  let { actions } = scenario;
  for (const [i, action] of actions.entries()) {
    const shorter = WAITS.filter((wait) => wait < action.wait).map((wait) => ({ ...action, wait }));
    for (const plainer of shorter) {
      const candidate = actions.with(i, plainer);
      if (!fails({ ...scenario, actions: candidate })) continue;
      actions = candidate;
      break;
    }
  }
  return { ...scenario, actions };
}

function withPlainerMesh(scenario: Scenario, fails: Fails): Scenario {
  const plainer: readonly Scenario[] = [
    { ...scenario, late: 0 },
    { ...scenario, observers: 0 },
    { ...scenario, init: 'seed' },
    { ...scenario, family: 4 },
    ...(scenario.nodes > 2 && !scenario.actions.some((action) => touches(action, scenario.nodes))
      ? [{ ...scenario, nodes: scenario.nodes - 1, late: 0, observers: 0 }]
      : []),
  ];
  return plainer.find((candidate) => isOther(candidate, scenario) && fails(candidate)) ?? scenario;
}

function touches(action: Action, node: number): boolean {
  if (action.do === 'cut') return action.from === node || action.to === node;
  return 'node' in action && action.node === node;
}

function isOther(a: Scenario, b: Scenario): boolean {
  return (['nodes', 'late', 'observers', 'init', 'family'] as const).some((key) => a[key] !== b[key]);
}
