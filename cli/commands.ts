import { setTimeout } from 'node:timers/promises';
import type { Command } from 'commander';
import type { AttachmentRow, AttachResult, PeerRef, RotateResult } from '../router/api/daemon.ts';
import type { StatusDocument } from '../router/status.ts';
import { answers, callApi, NoDaemon } from '../router/api/client.ts';
import { BadValue, UsageError } from './exit.ts';
import { counted, table } from './render.ts';
import type { Call, JsonFlag, Terminal } from './terminal.ts';
import { json } from './terminal.ts';
import { isStatusPart, overviewText, STATUS_PARTS } from './status-text.ts';
import { DEFAULT_STATE_DIR, pathValue, peerValue } from './settings.ts';
import { addSpaceCommands } from './space-commands.ts';

/** Adds every command that is one call of the daemon's API. */
export function addClientCommands(program: Command, terminal: Terminal): void {
  const call = (method: 'GET' | 'POST', path: string, body?: object) =>
    callApi(terminal.socket(), method, path, body);
  addStatusCommands(program, terminal, call);
  addMeshCommands(program, terminal, call);
  addKeyCommands(program, terminal, call);
  addAttachCommands(program, terminal, call);
  addExposeCommands(program, terminal, call);
  addAddressCommands(program, terminal, call);
  addSpaceCommands(program, terminal, call);
}

function lines(items: readonly string[]): string {
  return items.map((item) => item + '\n').join('');
}

function addStatusCommands(program: Command, terminal: Terminal, call: Call): void {
  program
    .command('status')
    .description('show the daemon, its peers, connections, links and addresses')
    .argument('[part]', `one of ${Object.keys(STATUS_PARTS).join(', ')}`)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  weave-ts status\n  weave-ts status links\n  weave-ts status --json')
    .action(async (part: string | undefined, flags: JsonFlag) => {
      if (part !== undefined && !isStatusPart(part)) {
        throw new UsageError(`status has no part "${part}": choose ${Object.keys(STATUS_PARTS).join(', ')}`);
      }
      const document = (await call('GET', '/status')) as StatusDocument;
      const chosen = part === undefined ? undefined : STATUS_PARTS[part];
      if (flags.json === true) terminal.out(json(chosen === undefined ? document : chosen.pick(document)));
      else
        terminal.out(chosen === undefined ? overviewText(document) : chosen.text(document, terminal.colour));
    });
  program
    .command('report')
    .description('print everything that the daemon knows of itself, as JSON without secrets')
    .option('--json', 'the default and only form')
    .addHelpText('after', '\nExample:\n  weave-ts report > report.json')
    .action(async () => terminal.out(json(await call('GET', '/report'))));
  program
    .command('ps')
    .description('list what is attached where, and what else holds addresses')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  weave-ts ps\n  weave-ts ps --json')
    .action(async (flags: JsonFlag) => {
      const { attachments } = (await call('GET', '/ps')) as { attachments: AttachmentRow[] };
      terminal.out(flags.json === true ? json(attachments) : psText(attachments));
    });
}

function psText(attachments: readonly AttachmentRow[]): string {
  return table(
    attachments.map(({ id, target, interface: name, mac, addresses, state }) => [
      id,
      ...[target, name, mac].map((cell) => (cell === '' ? '-' : cell)),
      addresses.join(' '),
      state,
    ]),
  );
}

function addMeshCommands(program: Command, terminal: Terminal, call: Call): void {
  program
    .command('stop')
    .description('stop the daemon; interfaces and attached namespaces stay, so that a restart finds them')
    .option(
      '--clean',
      'remove bridge, TAP, host rules and attached interfaces too, also if no daemon runs any more',
    )
    .option(
      '--state-dir <dir>',
      'with --clean: where the daemon kept its state, if none runs any more',
      DEFAULT_STATE_DIR,
    )
    .addHelpText('after', STOP_HELP)
    .action(async (flags: { clean?: boolean; stateDir: string }, command: Command) => {
      // The variable of the flag may be set for launch.
      if (command.getOptionValueSource('stateDir') === 'cli' && flags.clean !== true) {
        throw new UsageError(
          'stop takes --state-dir only with --clean: the --socket names the daemon to stop',
        );
      }
      try {
        await call('POST', '/stop', { clean: flags.clean ?? false });
      } catch (error) {
        if (!(error instanceof NoDaemon) || !error.absent || flags.clean !== true) throw error;
        // Every other command starts without loading the store.
        const { cleanUp } = await import('./clean-up.ts');
        terminal.note(await cleanUp(pathValue('--state-dir', flags.stateDir), terminal.socket()));
        return;
      }
      await untilGone(terminal.socket());
    });
  program
    .command('connect')
    .description('add peers to connect to')
    .argument('<peer...>', 'HOST, HOST:PORT or [IPV6]:PORT')
    .option('--replace', 'forget all other targets')
    .addHelpText('after', '\nExample:\n  weave-ts connect 192.0.2.7 [2001:db8::7]:6783')
    .action(async (peers: string[], flags: { replace?: boolean }) => {
      await call('POST', '/connect', { peers: peers.map(peerValue), replace: flags.replace ?? false });
    });
  program
    .command('forget')
    .description('stop connecting to peers')
    .argument('<peer...>', 'as given to launch or connect')
    .addHelpText('after', '\nExample:\n  weave-ts forget 192.0.2.7')
    .action(async (peers: string[]) => {
      await call('POST', '/forget', { peers: peers.map(peerValue) });
    });
}

const STOP_HELP = `
Addresses, name and key stay in the state directory: the next launch goes on with them.

Examples:
  weave-ts stop
  weave-ts stop --clean`;

function addKeyCommands(program: Command, terminal: Terminal, call: Call): void {
  program
    .command('rotate')
    .description('read the password file again, as SIGHUP does')
    .option('--json', 'print JSON')
    .addHelpText('after', ROTATE_HELP)
    .action(async (flags: JsonFlag) => {
      const { notes, ...rotation } = (await call('POST', '/rotate')) as RotateResult;
      for (const note of notes) terminal.note(note);
      terminal.out(flags.json === true ? json(rotation) : rotationText(rotation));
    });
  program
    .command('rekey')
    .description('ask for new session keys now, and print with whom')
    .argument('[peer]', 'name or nickname; all peers whose link is up by default')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nKeys are renewed every two minutes without it. `status links` counts renewals ("rekeys").\n\nExamples:\n  weave-ts rekey\n  weave-ts rekey host2',
    )
    .action(async (peer: string | undefined, flags: JsonFlag) => {
      const { peers } = (await call('POST', '/rekey', peer === undefined ? {} : { peer })) as {
        peers: PeerRef[];
      };
      terminal.out(flags.json === true ? json(peers) : rekeyText(peers));
    });
}

function rekeyText(peers: readonly PeerRef[]): string {
  if (peers.length === 0) return 'no link is up: nothing to renew\n';
  return lines(peers.map(({ peer, nickname }) => `asked for new keys with ${peer} (${nickname})`));
}

const ROTATE_HELP = `
The file holds one password or two, a line each. The first is dialled with, both
are accepted. To change the password without an interruption, do each step on
all hosts before the next: add the new one as the second line (status of every
host must show 2 passwords before you swap on any), then swap the lines, then
drop the old one. Connections made with a dropped password are re-made; a host
that knows no other is out within a minute.

Example:
  printf 'old\\nnew\\n' > /etc/weave-password && weave-ts rotate`;

function rotationText({ accepted, added, dropped, remaking }: Omit<RotateResult, 'notes'>): string {
  const remade = remaking === 0 ? '' : `; re-making ${counted(remaking, 'connection', 'connections')}`;
  return `${counted(accepted, 'password', 'passwords')} accepted: ${added} added, ${dropped} dropped${remade}\n`;
}

/** The daemon closes its API last; a script that goes on after `stop` finds ports and interfaces free. */
async function untilGone(socket: string): Promise<void> {
  for (let waited = 0; await answers(socket); waited += STOP_POLL_MS) {
    if (waited >= STOP_LIMIT_MS) throw new BadValue('the daemon was told to stop and still runs after 10 s');
    await setTimeout(STOP_POLL_MS);
  }
}

const STOP_POLL_MS = 50;
const STOP_LIMIT_MS = 10_000;

const ADDRESS_HELP = 'ip:CIDR, net:CIDR, net:default or CIDR; without one, from the default subnet';

function addAttachCommands(program: Command, terminal: Terminal, call: Call): void {
  program
    .command('attach')
    .description('attach a network namespace to the mesh and print its addresses')
    .argument('<target>', 'namespace path, `ip netns` name or pid')
    .argument('[addr...]', ADDRESS_HELP)
    .option('--interface <name>', "the interface's name inside the namespace; ethwe by default")
    .option('--default-route', 'a default route through this host, which is exposed for it if need be')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  weave-ts attach web\n  weave-ts attach web --default-route\n  weave-ts attach 4711 net:10.40.0.0/16',
    )
    .action(
      async (
        target: string,
        addresses: string[],
        flags: JsonFlag & { interface?: string; defaultRoute?: boolean },
      ) => {
        if (flags.interface === '') throw new BadValue('--interface is empty: name one, or leave it out');
        const body = {
          target,
          addresses,
          interface: flags.interface,
          defaultRoute: flags.defaultRoute ?? false,
        };
        printAttached((await call('POST', '/attach', body)) as AttachResult, flags, terminal);
      },
    );
  program
    .command('detach')
    .description('take a namespace, or some of its addresses, off the mesh')
    .argument('<target>', 'as given to attach')
    .argument('[addr...]', 'only these addresses')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  weave-ts detach web\n  weave-ts detach web 10.40.0.7/16')
    .action(async (target: string, addresses: string[], flags: JsonFlag) => {
      const answer = (await call('POST', '/detach', { target, addresses })) as { addresses: string[] };
      terminal.out(flags.json === true ? json(answer) : lines(answer.addresses));
    });
}

function printAttached(result: AttachResult, flags: JsonFlag, terminal: Terminal): void {
  const { notes, ...document } = result;
  for (const note of notes) terminal.note(note);
  terminal.out(flags.json === true ? json(document) : result.addresses.join(' ') + '\n');
}

function addExposeCommands(program: Command, terminal: Terminal, call: Call): void {
  program
    .command('expose')
    .description('give this host an address on the mesh and print it')
    .argument('[addr...]', ADDRESS_HELP)
    .option('--without-masquerade', 'do not translate what leaves the mesh through this host')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nIP forwarding of this host is turned on if it was off; a note tells so.\n\nExamples:\n  weave-ts expose\n  weave-ts expose net:10.40.0.0/16 --without-masquerade',
    )
    .action(async (addresses: string[], flags: JsonFlag & { withoutMasquerade?: boolean }) => {
      const body = { addresses, masquerade: flags.withoutMasquerade !== true };
      printAttached((await call('POST', '/expose', body)) as AttachResult, flags, terminal);
    });
  program
    .command('hide')
    .description("take this host's addresses off the mesh")
    .argument('[addr...]', 'only these addresses')
    .option('--json', 'print JSON')
    .addHelpText('after', HIDE_HELP)
    .action(async (addresses: string[], flags: JsonFlag) => {
      const answer = (await call('POST', '/hide', { addresses })) as { addresses: string[] };
      terminal.out(flags.json === true ? json(answer) : lines(answer.addresses));
    });
}

const HIDE_HELP = `
Routes of attached namespaces through these addresses go too, and come back with the next expose.

Examples:
  weave-ts hide
  weave-ts hide 10.32.0.1/12`;

const ID_HELP = 'whatever names the holder, up to 256 characters';

function addAddressCommands(program: Command, terminal: Terminal, call: Call): void {
  const print = (answer: unknown, flags: JsonFlag) => {
    const { addresses } = answer as { addresses: string[] };
    terminal.out(flags.json === true ? json({ addresses }) : lines(addresses));
  };
  program
    .command('prime')
    .description('wait until the address range is divided among the peers')
    .addHelpText('after', '\nExample:\n  weave-ts prime && weave-ts attach web')
    .action(async () => {
      await call('POST', '/prime');
    });
  program
    .command('allocate')
    .description('hand out an address to an identifier of your own')
    .argument('<id>', ID_HELP)
    .argument('[net]', 'net:CIDR or net:default')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  weave-ts allocate printer\n  weave-ts allocate printer net:10.40.0.0/16',
    )
    .action(async (id: string, net: string | undefined, flags: JsonFlag) => {
      if (net !== undefined && (!net.startsWith('net:') || net === 'net:')) {
        throw new BadValue(`"${net}" is not a subnet: write net:A.B.C.D/N or net:default`);
      }
      const subnet = net === undefined || net === 'net:default' ? {} : { subnet: net.slice('net:'.length) };
      print(await call('POST', '/allocate', { id, ...subnet }), flags);
    });
  program
    .command('claim')
    .description('take a certain address for an identifier')
    .argument('<id>', ID_HELP)
    .argument('<cidr>', 'the address with the length of its subnet')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  weave-ts claim printer 10.32.0.9/12')
    .action(async (id: string, cidr: string, flags: JsonFlag) => {
      print(await call('POST', '/claim', { id, cidr }), flags);
    });
  program
    .command('release')
    .description('give the addresses of an identifier back')
    .argument('<id>', ID_HELP)
    .argument('[cidr]', 'only this address')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  weave-ts release printer\n  weave-ts release printer 10.32.0.9/12')
    .action(async (id: string, cidr: string | undefined, flags: JsonFlag) => {
      print(await call('POST', '/release', { id, ...(cidr === undefined ? {} : { cidr }) }), flags);
    });
}
