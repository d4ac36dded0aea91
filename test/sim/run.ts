import { argv, cpuUsage, exit, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { loadSodium } from '../../router/crypto/sodium.ts';
import { fakePrimitives } from './fake-primitives.ts';
import { runScenario } from './scenario.ts';

/**
 * Runs more seeds than the tests do: `npm run sim -- --nodes 20 --seed 1 --count 1000`, with `--real` cryptography or
 * `--no-discovery` if wanted. Exits 1 at the end if one failed.
 */
const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    nodes: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '100' },
    real: { type: 'boolean', default: false },
    'no-discovery': { type: 'boolean', default: false },
  },
});

const primitives = values.real ? await loadSodium() : fakePrimitives;
let failed = 0;
for (let seed = Number(values.seed); seed < Number(values.seed) + Number(values.count); seed++) {
  const began = cpuUsage().user;
  const options = { seed, nodes: Number(values.nodes), primitives, discovery: !values['no-discovery'] };
  const { faults, convergedAfter } = runScenario(options);
  const verdict = faults.length === 0 ? `whole after ${(convergedAfter! / 1_000).toFixed(1)} s` : 'FAILED';
  stdout.write(`seed ${seed}: ${verdict}, ${Math.round((cpuUsage().user - began) / 1_000)} ms of CPU\n`);
  for (const fault of faults.slice(0, 20)) stdout.write(`  ${fault}\n`);
  if (faults.length > 0) failed++;
}
stdout.write(`${failed} of ${values.count} seeds failed\n`);
exit(failed === 0 ? 0 : 1);
