import type { Command, Option } from 'commander';
import { BadValue } from './exit.ts';

/** Every flag's environment variable is this and the flag's name: --no-discovery is WEAVE_TS_NO_DISCOVERY. */
const PREFIX = 'WEAVE_TS_';
/** The first two ask for nothing that a variable could keep, and passwords have a variable of their own. */
const WITHOUT_VARIABLE = ['--help', '--version', '--password'];
const YES = ['1', 'true', 'yes'];
const NO = ['0', 'false', 'no'];

/** The environment variable of a flag; undefined for the few that have none. */
export function variableOf(flag: Option): string | undefined {
  const long = flag.long ?? '';
  if (long === '' || WITHOUT_VARIABLE.includes(long)) return undefined;
  return PREFIX + long.slice('--'.length).replaceAll('-', '_').toUpperCase();
}

/**
 * Gives the flags of `command` that are not on the command line the values of their variables. An empty variable is
 * none. Throws {@link BadValue} naming a variable that answers a yes-or-no flag with something else.
 */
export function applyEnvironment(command: Command, environment: NodeJS.ProcessEnv): void {
  for (const flag of command.options) {
    const variable = variableOf(flag);
    const text = variable === undefined ? undefined : environment[variable];
    if (variable === undefined || text === undefined || text === '') continue;
    if (command.getOptionValueSource(flag.attributeName()) === 'cli') continue;
    const takesText = flag.required || flag.optional;
    if (takesText) command.setOptionValueWithSource(flag.attributeName(), text, 'env');
    else if (isYes(variable, text))
      command.setOptionValueWithSource(flag.attributeName(), !flag.negate, 'env');
  }
}

function isYes(variable: string, text: string): boolean {
  const word = text.toLowerCase();
  if (!YES.includes(word) && !NO.includes(word)) {
    throw new BadValue(`${variable} "${text}" is neither yes nor no: write 1 or 0`);
  }
  return YES.includes(word);
}
