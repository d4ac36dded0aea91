import test from 'ava';
import { killRun } from './kill-run.ts';

test('a daemon that is killed under load keeps every address that it has answered, and gives none twice', async (t) => {
  t.timeout(5 * 60_000);
  const { faults, kills, answered } = await killRun(`wk${process.pid}`, 15, () => undefined);
  t.deepEqual(faults, []);
  t.is(kills, 15);
  t.true(answered > 15);
});
