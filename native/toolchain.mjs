/** What building the addon, the CNI program and the fuzz target have in common. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder native/. */
export const here = dirname(fileURLToPath(import.meta.url));

export const warnings = [
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Wvla',
  '-Wshadow',
  '-Wpointer-arith',
  '-Wstrict-prototypes',
];
/** Ends the process, in the name of the script that it runs. */
export function fail(sentence) {
  process.stderr.write(`native/${basename(process.argv[1])}: ${sentence}\n`);
  process.exit(1);
}

/** Makes `output`, which `what` names, of all C files in `folder`. A process that runs it keeps the file that it has mapped. */
export function compile(compiler, options, folder, output, what) {
  const sources = readdirSync(join(here, folder)).filter((name) => name.endsWith('.c'));
  const paths = sources.sort().map((name) => join(here, folder, name));
  const unfinished = `${output}.${process.pid}`;
  mkdirSync(dirname(output), { recursive: true });
  const all = ['-std=gnu11', '-D_GNU_SOURCE', ...warnings, ...options, ...paths, '-o', unfinished];
  if (spawnSync(compiler, all, { stdio: 'inherit' }).status !== 0) {
    rmSync(unfinished, { force: true });
    fail(`${what} did not compile.`);
  }
  renameSync(unfinished, output);
}

/** The directory of node_api.h that belongs to the running Node. */
export function nodeHeaders() {
  const prefix = join(dirname(process.execPath), '..');
  const candidates = [process.env.npm_config_nodedir, prefix]
    .filter((root) => root !== undefined)
    .map((root) => join(root, 'include', 'node'));
  const found = candidates.find((folder) => existsSync(join(folder, 'node_api.h')));
  if (found === undefined) {
    fail(
      `the headers of Node ${process.version} are not in ${candidates.join(' or ')}: ` +
        'install Node from nodejs.org, or its development package, or name its folder in npm_config_nodedir.',
    );
  }
  const text = readFileSync(join(found, 'node_version.h'), 'utf8');
  const major = /#define NODE_MAJOR_VERSION (\d+)/.exec(text)?.[1];
  if (major !== process.versions.node.split('.')[0]) {
    fail(`${found} holds the headers of Node ${major}, but this is Node ${process.version}.`);
  }
  return found;
}
