import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { fromHex } from '../../core/bytes.ts';
import { allTargets } from '../fuzz/all-targets.ts';
import { replay } from '../fuzz/fuzzer.ts';

/** As `npm run fuzz` writes it. */
interface Find {
  readonly target: string;
  readonly found: string;
  readonly inputs: readonly string[];
}

const folder = 'test/replays/fuzz/';
const targets = allTargets();
test.after.always(async () => {
  for (const target of targets) await target.close?.();
});

for (const file of readdirSync(folder)) {
  const { target: name, found, inputs } = JSON.parse(readFileSync(folder + file, 'utf8')) as Find;

  test.serial(`${file}: ${name} keeps its promises (once: ${found})`, async (t) => {
    const target = targets.find((one) => one.name === name);
    t.truthy(target, `no target is called ${name}`);
    t.true(inputs.length > 0);
    const error = await replay(
      inputs.map((digits) => fromHex(digits)!),
      target!,
    );
    t.is(error, undefined);
  });
}
