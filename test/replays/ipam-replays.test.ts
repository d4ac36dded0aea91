import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import type { Scenario } from '../sim/ipam/actions.ts';
import { runScenario } from '../sim/ipam/ipam-run.ts';

const folder = 'test/replays/ipam/';

for (const file of readdirSync(folder)) {
  const text = readFileSync(folder + file, 'utf8');
  const { found, scenario } = JSON.parse(text) as { found: string; scenario: Scenario };

  test(`${file}: every address has one holder and none is lost (once: ${found})`, (t) => {
    t.deepEqual(runScenario(scenario).faults, []);
  });
}
