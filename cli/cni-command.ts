import { chmodSync, copyFileSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { systemReason } from '../core/system-error.ts';
import { CONFLIST_NAME } from '../plugin/cni/conflist.ts';
import { isSupported, SUPPORTED_VERSIONS } from '../plugin/cni/spec-version.ts';
import { callApi } from '../router/api/client.ts';
import type { Terminal } from './terminal.ts';
import { makeDirectory } from '../router/api/make-directory.ts';
import { BadValue } from './exit.ts';
import { pathValue } from './settings.ts';

interface InstallFlags {
  readonly binDir: string;
  readonly confDir: string;
  readonly node?: boolean;
  readonly cniVersion: string;
}

/** Both are one program: it tells by its name whether it is the main plugin or only gives addresses. */
const PROGRAMS = ['weave-ts', 'weave-ts-ipam'];

export function addCniCommands(program: Command, terminal: Terminal): void {
  program
    .command('cni')
    .description('the plugin for container runtimes')
    .addHelpText('after', '\nExample:\n  weave-ts cni install')
    .command('install')
    .description('install the CNI plugin; its configuration follows when the daemon can serve pods')
    .option('--bin-dir <dir>', 'where the runtime looks for plugins', '/opt/cni/bin')
    .option('--conf-dir <dir>', 'where the runtime looks for configurations', '/etc/cni/net.d')
    .option('--node', 'install a wrapper in JavaScript: slower, but needs no C compiler')
    .option('--cni-version <version>', 'of the configuration', '1.0.0')
    .addHelpText(
      'after',
      '\nThe daemon must be running: it writes the configuration once it can serve pods, and again at every start.\nstop --clean removes the configuration; the programs stay.\n\nExamples:\n  weave-ts cni install\n  weave-ts cni install --bin-dir /usr/lib/cni --cni-version 1.1.0',
    )
    .action(async (flags: InstallFlags) => {
      const binDir = pathValue('--bin-dir', flags.binDir);
      const confDir = pathValue('--conf-dir', flags.confDir);
      if (!isSupported(flags.cniVersion)) {
        const choices = SUPPORTED_VERSIONS.join(', ');
        throw new BadValue(`--cni-version "${flags.cniVersion}" is unknown: choose ${choices}`);
      }
      for (const name of PROGRAMS) installProgram(join(binDir, name), name, flags.node ?? false);
      const body = { binDir, confDir, cniVersion: flags.cniVersion };
      await callApi(terminal.socket(), 'POST', '/cni/install', body);
      const configuration = join(confDir, CONFLIST_NAME);
      terminal.note(
        `installed ${PROGRAMS.join(' and ')} in ${binDir}; ${configuration} is there as soon as the daemon can serve pods`,
      );
    });
}

/** By rename, as a runtime may be about to start the one that is there. */
function installProgram(path: string, name: string, node: boolean): void {
  const unfinished = `${path}.${process.pid}`;
  try {
    makeDirectory(dirname(path));
    if (node) writeFileSync(unfinished, nodeWrapper(name));
    else copyFileSync(shimPath(), unfinished);
    chmodSync(unfinished, 0o755);
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    if (error instanceof BadValue) throw error;
    throw new BadValue(`cannot install ${path}: ${systemReason(error)}`);
  }
}

/** The build lays it beside the addon, two folders above what is built of this file, one above its source. */
function shimPath(): string {
  const roots = ['..', '../..'].map((up) => fileURLToPath(new URL(up, import.meta.url)));
  const found = roots
    .map((root) => join(root, 'native', 'build', 'weave-ts-cni'))
    .find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new BadValue(
    'the CNI program is not built: run "npm run build:native", which needs a C compiler, or use --node',
  );
}

function nodeWrapper(name: string): string {
  const module = new URL('../plugin/cni/node-shim.js', import.meta.url).href;
  return `#!${process.execPath}\nimport(${JSON.stringify(module)}).then((shim) => shim.runNodeShim(${JSON.stringify(name)}));\n`;
}
