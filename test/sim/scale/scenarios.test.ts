import test from 'ava';
import { HOUR, MINUTE } from '../../../core/time.ts';
import { ScaleRun } from './scale-run.ts';
import { play, SCALE_SCENARIOS } from './scale-scenarios.ts';

/** How long the trouble lasts. */
const DURATIONS: Readonly<Record<string, number>> = {
  boot: MINUTE,
  'rolling-restart': MINUTE,
  'third-vanishes': MINUTE,
  partition: 2 * MINUTE,
  'slow-links': MINUTE,
  flapping: MINUTE,
  // One of twelve is 1 % for 8.3 minutes.
  churn: 10 * MINUTE,
};

for (const [name, scenario] of Object.entries(SCALE_SCENARIOS)) {
  test(`${name}: a sparse mesh of twelve keeps what is promised of a thousand`, (t) => {
    const duration = DURATIONS[name]!;
    const run = new ScaleRun({
      scenarios: [name],
      nodes: 12,
      seed: 1,
      known: 3,
      hours: [duration / HOUR],
      terms: scenario.terms,
      fullMeshLimit: 6,
    });
    play(run, [{ scenario, duration }], () => undefined);
    const { faults, times, scenarios } = run.report();
    t.deepEqual(faults, []);
    t.deepEqual(scenarios, [name]);
    t.not(times['one view after the first start'], undefined);
  });
}
