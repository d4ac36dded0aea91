import { hostname, release } from 'node:os';
import type { Command } from 'commander';
import { checkHost } from '../plugin/host/preflight.ts';
import { loadAddon } from '../router/engine/addon.ts';
import { json, type JsonFlag, type Terminal } from './terminal.ts';
import { startDetached } from './detached.ts';
import { laneWarning } from './lane-kernels.ts';
import { readPasswords } from './passwords.ts';
import { checkSettings, DEFAULT_STATE_DIR, type LaunchFlags } from './settings.ts';

interface AllFlags extends LaunchFlags, JsonFlag {
  readonly passwordFile?: string;
  readonly password?: string;
  readonly foreground?: boolean;
}

/** Flag, help, default. */
const FLAGS: readonly (readonly [flag: string, help: string, standard?: string | boolean])[] = [
  ['--name <name>', 'peer name, six hexadecimal pairs; drawn at random and kept by default'],
  ['--nickname <text>', 'shown beside the name; the host name by default'],
  ['--host <addr>', 'underlay address to listen on; all by default'],
  ['--port <port>', 'TCP and UDP port', '6783'],
  ['--ipalloc-range <cidr>', 'addresses that the mesh divides among its peers', '10.32.0.0/12'],
  [
    '--ipalloc-default-subnet <cidr>',
    'where addresses come from unless a net: is named; the range by default',
  ],
  ['--ipalloc-init <mode>', 'consensus, consensus=N, seed=NAME,... or observer'],
  ['--trusted-subnets <cidr,...>', 'underlay networks in which data goes unencrypted if both ends say so'],
  ['--no-discovery', 'connect to the given peers only'],
  ['--conn-limit <n>', 'most control connections, 0 = no limit', '0'],
  ['--mtu <bytes>', "MTU of the bridge; by default the underlay's less 112"],
  ['--bridge <name>', 'name of the bridge', 'weave'],
  ['--state-dir <dir>', 'where the daemon keeps its state', DEFAULT_STATE_DIR],
  ['--engine <engine>', 'auto, native or portable', 'auto'],
  [
    '--workers <n>',
    'threads that move packets, 1 to 16; flows are spread over them (from Linux 6.9 on)',
    '1',
  ],
  ['--full-mesh-limit <n>', 'peers up to which everyone connects to everyone', '80'],
  ['--no-host-firewall', "leave other people's firewall rules alone, and only report what they drop"],
  ['--log-level <level>', 'debug, info, warn or error', 'info'],
  ['--resume', 'connect to the targets of the last run as well'],
  ['--foreground', 'stay in the foreground, for systemd and containers'],
  ['--json', 'print the name as JSON'],
];

export function addLaunchCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command('launch')
    .description('start the daemon of this host, wait until it answers, and print its name')
    .argument('[peer...]', 'HOST, HOST:PORT or [IPV6]:PORT of peers that are there already');
  for (const [flag, help, standard] of FLAGS) command.option(flag, help, standard);
  command
    .option('--password-file <file>', 'one or two passwords, a line each; turns encryption on')
    .option(
      '--password <text>',
      'turns encryption on; a file is better: a shell keeps its history, and the process list shows the text for a moment',
    )
    .addHelpText('after', LAUNCH_EXAMPLES)
    .action(async (peers: string[], flags: AllFlags) => launch(peers, flags, terminal));
}

const LAUNCH_EXAMPLES = `
WEAVE_PASSWORD holds a password, too.

Examples:
  weave-ts launch --password-file /etc/weave-ts/password
  weave-ts launch --password-file /etc/weave-ts/password 192.0.2.1 host2.example:6783`;

async function launch(peers: string[], flags: AllFlags, terminal: Terminal): Promise<void> {
  const environment = process.env['WEAVE_PASSWORD'];
  hidePassword(flags.password);
  const passwords = readPasswords({ file: flags.passwordFile, flag: flags.password, environment });
  const settings = checkSettings(flags, peers, {
    hostName: hostname(),
    socket: terminal.socket(),
    passwordFile: flags.passwordFile,
  });
  await checkHost();
  if (flags.foreground === true) {
    // Every other command starts without loading the daemon, several times faster.
    const { runDaemon } = await import('./launch.ts');
    // The network goes on when nobody reads its log any more, or the disk is full.
    process.stdout.removeAllListeners('error').on('error', () => undefined);
    await runDaemon(settings, passwords.accepted, { foreground: true });
  } else {
    const name = await startDetached(settings, passwords.accepted);
    terminal.out(flags.json === true ? json({ name }) : `${name}\n`);
  }
  // After the start, so that a refusal stays one line.
  for (const warning of [passwords.warning, laneWarning(settings.workers, release())]) {
    if (warning !== undefined) terminal.note(warning);
  }
  if (passwords.accepted.length === 0) terminal.note('traffic is neither encrypted nor authenticated');
}

/**
 * Takes the password out of what other processes can see: the argument list (writing process.title overwrites it)
 * and the environment block, which only native code can reach.
 */
function hidePassword(flag: string | undefined): void {
  if (flag !== undefined) process.title = 'weave-ts launch';
  if (process.env['WEAVE_PASSWORD'] === undefined) return;
  loadAddon().wipeEnvironment('WEAVE_PASSWORD');
  delete process.env['WEAVE_PASSWORD'];
}
