import type { ScenarioOptions } from './scenario.ts';

/** A mesh that is cheap enough for thousands of seeds. */
export const SMALL_NODES = 12;

/** Every third seed discovers and links all, every third links all over few connections, the others are sparse. */
export function smallKind(seed: number): Required<Pick<ScenarioOptions, 'discovery' | 'fullMeshLimit'>> {
  if (seed % 3 === 0) return { discovery: true, fullMeshLimit: 80 };
  return { discovery: false, fullMeshLimit: seed % 3 === 1 ? 80 : 4 };
}
