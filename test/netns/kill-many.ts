import { argv, exit, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { Lab } from '../../scripts/lab.ts';
import { killRun } from './kill-run.ts';

/** `npm run test:crash`, as root: kills a daemon 200 times under load, or `-- --kills N` times. Exits 1 on a fault. */
const { values } = parseArgs({
  args: argv.slice(2),
  options: { kills: { type: 'string', default: '200' } },
});

const prefix = `wk${process.pid}`;
Lab.sweepWhenInterrupted(prefix);
const began = performance.now();
const { kills, answered, unanswered, launchMs, firstAnswerMs, faults } = await killRun(
  prefix,
  Number(values.kills),
  (done) => {
    if (done % 20 === 0) stdout.write(`${done} kills\n`);
  },
);
for (const fault of faults) stdout.write(`${fault}\n`);
const seconds = Math.round((performance.now() - began) / 1_000);
stdout.write(
  `${kills} kills in ${seconds} s, ${answered} requests answered, ${unanswered} under way at a kill, ` +
    `${faults.length} promises broken; launched again in ${spread(launchMs)}, all checked after ${spread(firstAnswerMs)}\n`,
);
exit(faults.length === 0 ? 0 : 1);

function spread(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b).map(Math.round);
  return `${sorted[Math.floor(sorted.length / 2)]!} ms (${sorted[0]!} to ${sorted.at(-1)!})`;
}
