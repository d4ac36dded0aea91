import { Command } from 'commander';
import test from 'ava';
import { applyEnvironment } from '../../cli/environment.ts';
import { BadValue } from '../../cli/exit.ts';

/** What a command with these flags gets. */
function optionsOf(args: readonly string[], environment: NodeJS.ProcessEnv): Record<string, unknown> {
  const command = new Command()
    .version('1')
    .option('--port <port>', '', '6783')
    .option('--password <text>')
    .option('--without-masquerade')
    .option('--no-discovery');
  command.parse(args, { from: 'user' });
  applyEnvironment(command, environment);
  return command.opts();
}

const standard = { port: '6783', discovery: true };

for (const [what, environment, args, expected] of [
  ['nothing', {}, [], standard],
  ['a value', { WEAVE_TS_PORT: '7' }, [], { ...standard, port: '7' }],
  ['a value beside the flag', { WEAVE_TS_PORT: '7' }, ['--port', '6783'], standard],
  ['an empty value', { WEAVE_TS_PORT: '', WEAVE_TS_NO_DISCOVERY: '' }, [], standard],
  ['1', { WEAVE_TS_WITHOUT_MASQUERADE: '1' }, [], { ...standard, withoutMasquerade: true }],
  ['Yes', { WEAVE_TS_WITHOUT_MASQUERADE: 'Yes' }, [], { ...standard, withoutMasquerade: true }],
  ['0', { WEAVE_TS_WITHOUT_MASQUERADE: '0' }, [], standard],
  [
    'no for a flag that is given',
    { WEAVE_TS_NO_DISCOVERY: 'no' },
    ['--no-discovery'],
    { ...standard, discovery: false },
  ],
  ['true for a no-flag', { WEAVE_TS_NO_DISCOVERY: 'true' }, [], { ...standard, discovery: false }],
  ['false for a no-flag', { WEAVE_TS_NO_DISCOVERY: 'false' }, [], standard],
  ['variables that belong to no flag', { WEAVE_TS_VERSION: '0.1', WEAVE_TS_PASSWORD: 'x' }, [], standard],
] as const) {
  test(`the environment gives flags their values: ${what}`, (t) => {
    t.deepEqual(optionsOf(args, environment), expected);
  });
}

test('a word that is neither yes nor no is refused by name', (t) => {
  t.throws(() => optionsOf([], { WEAVE_TS_NO_DISCOVERY: 'maybe' }), {
    instanceOf: BadValue,
    message: 'WEAVE_TS_NO_DISCOVERY "maybe" is neither yes nor no: write 1 or 0',
  });
});
