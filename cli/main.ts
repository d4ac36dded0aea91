#!/usr/bin/env node
import { Command, CommanderError, Help, type Option } from 'commander';
import { NoDaemon } from '../router/api/client.ts';
import { addCniCommands } from './cni-command.ts';
import { addClientCommands } from './commands.ts';
import { commandWords, hintFor, refuseEmpty } from './command-words.ts';
import { applyEnvironment, variableOf } from './environment.ts';
import { BadValue, EXIT_FAILED, EXIT_NO_DAEMON, EXIT_OK, EXIT_USAGE, UsageError } from './exit.ts';
import { addLaunchCommand } from './launch-command.ts';
import { DEFAULT_SOCKET, socketValue } from './settings.ts';
import { VERSION } from './version.ts';
import { json, type JsonFlag, type Terminal } from './terminal.ts';

function buildProgram(): Command {
  const program = new Command('weave-ts')
    .description('A peer-to-peer encrypted mesh network for Linux hosts and Kubernetes')
    .option('--socket <path>', "the daemon's API socket", DEFAULT_SOCKET)
    .version(`weave-ts ${VERSION}`)
    .exitOverride()
    .configureHelp({ optionDescription: (flag) => describedFlag(flag) })
    .hook('preAction', (_program, command) => {
      for (const level of [program, command]) applyEnvironment(level, process.env);
      refuseEmpty(command);
    });
  const terminal: Terminal = {
    out: (text) => process.stdout.write(text),
    note: (text) => process.stderr.write(`weave-ts: ${text}\n`),
    colour: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
    socket: () => socketValue(program.opts<{ socket: string }>().socket),
  };
  addLaunchCommand(program, terminal);
  addClientCommands(program, terminal);
  addCniCommands(program, terminal);
  program
    .command('version')
    .description('print the version')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  weave-ts version\n  weave-ts version --json')
    .action((flags: JsonFlag) => {
      terminal.out(flags.json === true ? json({ version: VERSION }) : `weave-ts ${VERSION}\n`);
    });
  program.addHelpText('after', EXAMPLES);
  giveHints(program);
  return program;
}

const EXAMPLES = `
Examples:
  weave-ts launch --password-file /etc/weave-ts/password 192.0.2.1
  weave-ts attach web
  weave-ts status

weave-ts COMMAND --help shows what a command takes, with examples.`;

/** Each command's usage errors end with where its own flags are listed. */
function giveHints(command: Command): void {
  command.configureOutput({ outputError: (text, write) => write(usageLine(text, hintFor(command))) });
  for (const each of command.commands) giveHints(each);
}

function describedFlag(flag: Option): string {
  const variable = variableOf(flag);
  const text = new Help().optionDescription(flag);
  return variable === undefined ? text : `${text} (env: ${variable})`;
}

/** commander adds its guesses ("Did you mean ...") on lines of their own. */
function usageLine(text: string, hint: string): string {
  const sentence = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ');
  return `weave-ts: ${sentence} (${hint})\n`;
}

/** commander's own errors are usage errors; its help and version "errors" are not. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  if (error instanceof UsageError) return EXIT_USAGE;
  return error instanceof NoDaemon ? EXIT_NO_DAEMON : EXIT_FAILED;
}

/** Whatever bytes are no UTF-8 reach us as U+FFFD, so that two words that differ would be one. Throws {@link BadValue}. */
function checkEncoding(words: readonly string[]): void {
  const position = words.findIndex((word) => word.includes('\uFFFD'));
  if (position >= 0)
    throw new BadValue(`argument ${position + 1} is not UTF-8 text: write it in that encoding`);
}

// There is nobody left to be told; the exit code still says what became of it.
process.stderr.on('error', () => undefined);
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.stderr.write(`weave-ts: cannot write the output (${error.code ?? error.message})\n`);
  process.exit(EXIT_FAILED);
});

async function main(): Promise<void> {
  try {
    const words = process.argv.slice(2);
    checkEncoding(words);
    const program = buildProgram();
    await program.parseAsync(commandWords(program, words), { from: 'user' });
  } catch (error) {
    process.exitCode = exitCodeOf(error);
    if (!(error instanceof CommanderError)) {
      process.stderr.write(`weave-ts: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

void main();
