import type { Command } from 'commander';
import type { CheckOutcome, RemovedPeer, ResetOutcome } from '../ipam/effects.ts';
import { BadValue } from './exit.ts';
import { counted, labelled } from './render.ts';
import type { Call, JsonFlag, Terminal } from './terminal.ts';
import { json } from './terminal.ts';

/** The commands about the address space itself, as opposed to single addresses. */
export function addSpaceCommands(program: Command, terminal: Terminal, call: Call): void {
  addRmpeer(program, terminal, call);
  addReset(program, terminal, call);
  addIpamCheck(program, terminal, call);
}

function addRmpeer(program: Command, terminal: Terminal, call: Call): void {
  program
    .command('rmpeer')
    .description('take over the addresses of peers that are gone for good')
    .argument('<peer...>', 'name or nickname, as `status ipam` shows it')
    .option('--now', 'do not let the addresses rest for 10 minutes: nothing on the dead host runs any more')
    .option('--strict', 'wait for every other owner of addresses, however long it is out of reach')
    .option('--json', 'print JSON')
    .addHelpText('after', RMPEER_HELP)
    .action(async (peers: string[], flags: JsonFlag & { now?: boolean; strict?: boolean }) => {
      const body = { peers, now: flags.now ?? false, strict: flags.strict ?? false };
      const { removed } = (await call('POST', '/rmpeer', body)) as { removed: RemovedPeer[] };
      for (const note of removed.flatMap(notesOf)) terminal.note(note);
      terminal.out(flags.json === true ? json(removed) : removed.map(removedText).join(''));
    });
}

const RMPEER_HELP = `
Refused for a peer that is in reach. The addresses are given out once every peer
that is in reach has acknowledged it and 10 minutes have passed; status ipam
shows what is waited for. It may be run on several hosts, and repeated.

Examples:
  weave-ts rmpeer host3
  weave-ts rmpeer 7a:01:02:03:04:05 --now`;

function removedText({ name, nickname, addresses, waitingFor, restSeconds }: RemovedPeer): string {
  const peer = labelled(name, nickname);
  if (addresses === 0) return `${peer} owns no addresses that could be taken over\n`;
  const rest = restSeconds > 0 ? `in ${restSeconds / 60} min` : 'at once';
  const others = counted(waitingFor.length, 'peer has', 'peers have');
  const when = waitingFor.length === 0 ? rest : `${rest}, once ${others} acknowledged it`;
  return `${counted(addresses, 'address', 'addresses')} taken over from ${peer}, free ${when}\n`;
}

function notesOf({ name, nickname, outOfReach, warning }: RemovedPeer): string[] {
  const warnings = warning === undefined ? [] : [`${labelled(name, nickname)}: ${warning}`];
  if (outOfReach.length === 0) return warnings;
  return [
    ...warnings,
    `out of reach: ${outOfReach.join(', ')}. Until they hear of it they may give out addresses that ${labelled(name, nickname)} once gave them`,
  ];
}

function addReset(program: Command, terminal: Terminal, call: Call): void {
  program
    .command('reset')
    .description('give up all addresses of this host: detach everything and hand the ranges to another peer')
    .option(
      '--force',
      'do not wait for the other peer; without one the addresses are given up, but with a seed list only released',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', RESET_HELP)
    .action(async (flags: JsonFlag & { force?: boolean }) => {
      const result = (await call('POST', '/reset', { force: flags.force ?? false })) as ResetOutcome;
      terminal.out(flags.json === true ? json(result) : resetText(result));
    });
}

const RESET_HELP = `
The daemon goes on and owns nothing; the next address that is asked of it comes
from another peer. To take a host out of the mesh:
weave-ts reset && weave-ts stop --clean

Example:
  weave-ts reset`;

function resetText({ addresses, heir, nickname, released }: ResetOutcome): string {
  const gone = `${counted(released, 'address', 'addresses')} released`;
  if (addresses === 0) return `${gone}; no range was given up\n`;
  const whose = heir === '' ? 'given up' : `handed to ${labelled(heir, nickname)}`;
  return `${gone}; ${counted(addresses, 'address', 'addresses')} ${whose}\n`;
}

function addIpamCheck(program: Command, terminal: Terminal, call: Call): void {
  program
    .command('ipam')
    .description('look after the address space')
    .addHelpText('after', '\nExample:\n  weave-ts ipam check')
    .command('check')
    .description(
      'compare what all peers in reach hold, and say what to do about what is wrong; exit 1 if anything is',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  weave-ts ipam check')
    .action(async (flags: JsonFlag) => {
      const result = (await call('GET', '/ipam/check')) as CheckOutcome;
      terminal.out(flags.json === true ? json(result) : checkText(result));
      if (result.problems.length > 0) {
        throw new BadValue(`ipam check found ${counted(result.problems.length, 'problem', 'problems')}`);
      }
    });
}

function checkText({ nodes, problems, notes }: CheckOutcome): string {
  const answered = nodes.filter((node) => node.answered).length;
  const lines = problems.map(({ problem, remedy }) => `problem: ${problem}\n     do: ${remedy}\n`);
  const summary =
    problems.length === 0 ? 'nothing is wrong' : counted(problems.length, 'problem', 'problems');
  const noted = notes.map((note) => `note: ${note}\n`);
  return `${lines.join('')}${noted.join('')}${answered} of ${counted(nodes.length, 'node', 'nodes')} answered: ${summary}\n`;
}
