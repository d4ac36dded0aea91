import type { HostCommands } from './commands.ts';
import { iptablesChain, nativeChain, parseForwardHooks } from './firewall-chains.ts';
import type { ForwardChain, ForwardHook } from './firewall-chains.ts';
import { messageOf } from './host-error.ts';
import { CommandError } from './run.ts';

/**
 * Lets our bridge through chains of others that drop forwarded packets by default (Docker, ufw, firewalld, an operator):
 * accepting in our own table would not help, as a packet must pass every table. Routed packets meet these chains always;
 * packets bridged between two ports do if br_netfilter is loaded and bridge-nf-call-iptables is 1.
 * May be called again at any time: rules that are in place stay, and those that a reload flushed come back.
 * With `change` false nothing is touched. Returns a sentence per chain that still drops our packets, for `status`.
 */
export async function openForwarding(host: HostCommands, bridge: string, change: boolean): Promise<string[]> {
  const problems: string[] = [];
  let chains: ForwardChain[] = [];
  try {
    chains = await forwardChains(host, bridge);
  } catch (error) {
    problems.push(`the firewall of this host cannot be read (${messageOf(error)})`);
  }
  for (const chain of chains.filter(({ drops, open }) => drops && !open)) {
    const failure = change ? await openChain(host, chain) : undefined;
    if (change && failure === undefined) continue;
    const why = failure === undefined ? '' : ` (our own rule failed: ${failure})`;
    problems.push(`${chain.name} drops forwarded packets by default: accept those of ${bridge} there${why}`);
  }
  return problems;
}

/** Whether the older x_tables filter packets here, whose rules are no part of nf_tables. */
export async function usesLegacyTables(host: HostCommands): Promise<boolean> {
  for (const { namesFile } of LEGACY) if (await isFiltering(host, namesFile)) return true;
  return false;
}

/** Removes our rules, also from chains that no longer drop. */
export async function closeForwarding(host: HostCommands, bridge: string): Promise<void> {
  for (const chain of await forwardChains(host, bridge)) await runAll(host, chain.removals);
}

const LEGACY = [
  { program: 'iptables', namesFile: '/proc/net/ip_tables_names' },
  { program: 'ip6tables', namesFile: '/proc/net/ip6_tables_names' },
] as const;

/** All chains of other people at the forward hook, in nftables and in the older x_tables. */
async function forwardChains(host: HostCommands, bridge: string): Promise<ForwardChain[]> {
  const hooks = parseForwardHooks(await host.run('nft', ['-j', 'list', 'chains']));
  const chains: (ForwardChain | undefined)[] = [];
  for (const hook of hooks) chains.push(await readNftHook(host, hook, bridge));
  for (const { program, namesFile } of LEGACY)
    chains.push(await readLegacy(host, program, namesFile, bridge));
  return chains.filter((chain) => chain !== undefined);
}

/** The tables of iptables-nft are changed by that program, so that it still understands them afterwards. */
async function readNftHook(
  host: HostCommands,
  hook: ForwardHook,
  bridge: string,
): Promise<ForwardChain | undefined> {
  if (hook.table === 'filter' && hook.chain === 'FORWARD' && hook.family !== 'inet') {
    const program = hook.family === 'ip' ? 'iptables-nft' : 'ip6tables-nft';
    const chain = await readIptables(host, program, bridge);
    if (chain !== undefined) return chain;
  }
  const listing = await unlessFailing(
    host.run('nft', ['-j', '-a', 'list', 'chain', hook.family, hook.table, hook.chain]),
  );
  return listing === undefined ? undefined : nativeChain(hook, listing, bridge);
}

/** Asks only where the table is in use: the question alone would load the modules and make one. */
async function readLegacy(
  host: HostCommands,
  program: 'iptables' | 'ip6tables',
  namesFile: string,
  bridge: string,
): Promise<ForwardChain | undefined> {
  if (!(await isFiltering(host, namesFile))) return undefined;
  return (
    (await readIptables(host, `${program}-legacy`, bridge)) ?? (await readIptables(host, program, bridge))
  );
}

async function isFiltering(host: HostCommands, namesFile: string): Promise<boolean> {
  return ((await host.readProc(namesFile)) ?? '').split('\n').includes('filter');
}

/** Undefined if there is no such program. */
async function readIptables(
  host: HostCommands,
  program: string,
  bridge: string,
): Promise<ForwardChain | undefined> {
  const list = (chain: string): Promise<string | undefined> =>
    unlessFailing(host.run(program, ['-w', '-S', chain]));
  const forward = await list('FORWARD');
  if (forward === undefined) return undefined;
  return iptablesChain(program, forward, (await list('DOCKER-USER')) ?? '', bridge);
}

/** What another program did meanwhile (a chain or rule that is gone) is no reason to give up on the rest. */
async function unlessFailing(output: Promise<string>): Promise<string | undefined> {
  return output.catch((error: unknown) => {
    if (error instanceof CommandError) return undefined;
    throw error;
  });
}

/** What went wrong: a firewall that cannot be changed is for the operator to mend, and no reason not to run. */
async function openChain(host: HostCommands, chain: ForwardChain): Promise<string | undefined> {
  try {
    await runAll(host, [...chain.removals, ...chain.insertions]);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

async function runAll(
  host: HostCommands,
  commands: readonly (readonly [string, ...string[]])[],
): Promise<void> {
  for (const [program, ...args] of commands) await host.run(program, args);
}
