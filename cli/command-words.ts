import type { Command } from 'commander';
import { BadValue, UsageError } from './exit.ts';

const HELP_FLAGS = ['--help', '-h'];
/** With them no command is needed. */
const ANSWERED_FLAGS = [...HELP_FLAGS, '--version', '-V'];

/**
 * The words of the command line as commander is to see them. It takes `bogus --help` and `help bogus` for a wish for help
 * with everything, and prints all of it where a command is missing: here the one is an unknown command, and the other
 * throws {@link UsageError}.
 */
export function commandWords(program: Command, words: readonly string[]): string[] {
  const [first, topic, ...rest] = words;
  if (first === 'help' && topic !== undefined) return commandWords(program, [topic, ...rest, '--help']);
  const { command, isKnown } = commandOf(program, words);
  if (!isKnown) return words.filter((word) => !HELP_FLAGS.includes(word));
  const isAnswered = first === 'help' || words.some((word) => ANSWERED_FLAGS.includes(word));
  if (command.commands.length > 0 && !isAnswered) {
    throw new UsageError(`${flagFault(command, words) ?? missingCommand(command)} (${hintFor(command)})`);
  }
  return [...words];
}

function missingCommand(command: Command): string {
  return `a command is missing${command.parent === null ? '' : ` after "${pathOf(command)}"`}`;
}

/** In commander's words, the first flag that there is not, or that lacks its value. */
function flagFault(command: Command, words: readonly string[]): string | undefined {
  const options = [...command.options, ...(command.parent?.options ?? [])];
  for (let i = 0; i < words.length; i++) {
    const [name, value] = words[i]!.split('=', 2) as [string, string?];
    if (name === '--') break;
    if (!name.startsWith('-')) continue;
    const option = options.find(({ short, long }) => [short, long].includes(name));
    if (option === undefined) return `unknown option '${name}'`;
    if (!option.required || value !== undefined) continue;
    if (++i === words.length) return `option '${option.flags}' argument missing`;
  }
  return undefined;
}

/** The innermost command that the words name; not `isKnown` if the next word should name one and does not. */
function commandOf(program: Command, words: readonly string[]): { command: Command; isKnown: boolean } {
  let command = program;
  for (let i = 0; i < words.length && command.commands.length > 0; i++) {
    const word = words[i]!;
    if (word === '--') break;
    if (word.startsWith('-')) {
      if (takesValue(command, word)) i++;
      continue;
    }
    const named = command.commands.find((each) => each.name() === word);
    if (named === undefined) return { command, isKnown: word === 'help' };
    command = named;
  }
  return { command, isKnown: true };
}

function takesValue(command: Command, word: string): boolean {
  return command.options.some((option) => [option.short, option.long].includes(word) && option.required);
}

/** As it is typed: "weave-ts cni install". */
export function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** Where to read what a command takes. */
export function hintFor(command: Command): string {
  const listed = command.commands.length > 0 ? 'commands and flags' : 'its arguments and flags';
  return `${pathOf(command)} --help lists ${listed}`;
}

/** Throws {@link BadValue} naming the first argument that is empty: no command has a use for one. */
export function refuseEmpty(command: Command): void {
  for (const [i, argument] of command.registeredArguments.entries()) {
    const given: unknown = command.processedArgs[i];
    const isEmpty = Array.isArray(given) ? given.includes('') : given === '';
    if (isEmpty) throw new BadValue(`the argument "${argument.name()}" is empty: name it, or leave it out`);
  }
}
