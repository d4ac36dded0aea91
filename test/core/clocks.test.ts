import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';

const PRODUCT = ['core', 'gossip', 'ipam', 'router', 'plugin', 'cli'];
/** The wall clock, or what is derived from it: it may jump either way at any time. */
const WALL_CLOCK = /\b(Date|timeOrigin|mtime\w*|ctime\w*|birthtime\w*)\b(?!:)/;
const COMMENT = /\/\*[\s\S]*?\*\/|\/\/.*/g;

/** Where it decides nothing: in what order the calls lie that were left for a daemon that did not run. */
const ALLOWED = ['plugin/cni/node-shim.ts'];

test('nothing but the names of spooled calls is made from the wall clock, so that its jumps change nothing', (t) => {
  const files = PRODUCT.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${folder}/${name}`),
  );
  t.true(files.length > 200);
  const reading = files.filter((file) => WALL_CLOCK.test(readFileSync(file, 'utf8').replaceAll(COMMENT, '')));
  t.deepEqual(reading, ALLOWED);
});
