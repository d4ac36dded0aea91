import { formatCidr, networkOf } from '../../core/address.ts';
import type { Cidr } from '../../core/address.ts';
import { constants } from 'node:os';
import type { HostCommands } from './commands.ts';
import { nftRows } from './firewall-chains.ts';
import { KernelError } from './kernel.ts';
import type { KernelPort } from './kernel.ts';
import { ACKNOWLEDGED, attribute, message, parseMessages, text, u32 } from './netlink-message.ts';
import { GUARD_CHAIN, guardRules } from './port-guard.ts';
import { CommandError } from './run.ts';

/** Everything our two tables depend on. */
export interface RulesetState {
  readonly bridge: string;
  readonly range: Cidr;
  /** Exposed addresses whose subnets are masqueraded on their way out. */
  readonly masquerade: readonly Cidr[];
  /** TCP and UDP port of the mesh. */
  readonly controlPort: number;
}

/**
 * Whether the rules are there, which another program may have flushed. One question for each table: nft 1.0.6, asked for
 * both at once, does not find the first.
 */
export async function hasRuleset(host: HostCommands): Promise<boolean> {
  try {
    const guards = await host.run('nft', [`list chain ${GUARD_CHAIN}`]);
    const input = await host.run('nft', ['list chain inet weave-ts input']);
    return guards.includes('goto guard') && input.includes(CONTROL_PORT_COUNTER);
  } catch (error) {
    if (error instanceof CommandError && error.code !== undefined) return false;
    throw error;
  }
}

/** Numbers of linux/netfilter.h and linux/netfilter/nf_tables.h. */
const FAMILIES = [1, 7];
const ASK_TABLE = (10 << 8) | 1;
const TABLE_TOLD = 10 << 8;
const TABLE_NAME = 1;

/** Whether a table of ours is there; as if it were, where that cannot be told. */
export async function hasTables(kernel: KernelPort, netns: string | undefined): Promise<boolean> {
  const steps = FAMILIES.map((family) => ({
    what: 'look for the tables of a former run',
    kind: 'netfilter' as const,
    request: message(
      ASK_TABLE,
      ACKNOWLEDGED,
      u32(0).fill(family, 0, 1),
      attribute(TABLE_NAME, text('weave-ts')),
    ),
    tolerated: constants.errno.ENOENT,
  }));
  try {
    return parseMessages(await kernel.run(netns, steps)).some(({ type }) => type === TABLE_TOLD);
  } catch (error) {
    if (error instanceof KernelError) return true;
    throw error;
  }
}

/** Whoever asks for the status does not wait for a firewall that does not answer. */
const COUNTERS_LIMIT_MS = 2_000;

/** Packets that our rules dropped, by counter; empty if they are not there. */
export async function readCounters(host: HostCommands): Promise<Record<string, number>> {
  try {
    return parseCounters(await host.run('nft', ['-j', 'list', 'counters'], { timeoutMs: COUNTERS_LIMIT_MS }));
  } catch (error) {
    if (error instanceof CommandError) return {};
    throw error;
  }
}

/** The output of `nft -j list counters`: those of our own tables, in which no two have one name. */
export function parseCounters(json: string): Record<string, number> {
  const ours = nftRows(json, 'counter').filter(({ table }) => table === 'weave-ts');
  return Object.fromEntries(
    ours.flatMap(({ name, packets }) =>
      typeof name === 'string' && typeof packets === 'number' ? [[name, packets]] : [],
    ),
  );
}

/** Naming a table before deleting it makes the deletion succeed whether it was there or not. */
export async function removeRuleset(host: HostCommands): Promise<void> {
  const tables = ['inet weave-ts', 'bridge weave-ts'];
  const input = tables.map((table) => `table ${table}\ndelete table ${table}\n`).join('');
  await host.run('nft', ['-f', '-'], { input });
}

/**
 * The whole desired state but the guards of ports, for one transaction; counters and guards stay. Other tables are not
 * mentioned. Same state, same text.
 */
export function rulesetText(state: RulesetState): string {
  return inetTable(state) + guardRules();
}

/** Counts what came from the mesh for the control port of this host, or through this host for that of another. */
export const CONTROL_PORT_COUNTER = 'control_port';

function inetTable(state: RulesetState): string {
  const bridge = JSON.stringify(state.bridge);
  const refused = `meta l4proto { tcp, udp } th dport ${state.controlPort} counter name ${CONTROL_PORT_COUNTER} drop`;
  return `table inet weave-ts {
  counter ${CONTROL_PORT_COUNTER} { }
  chain input { type filter hook input priority filter - 5; policy accept; }
  chain forward { type filter hook forward priority filter - 5; policy accept; }
  chain postrouting { type nat hook postrouting priority srcnat; policy accept; }
}
flush chain inet weave-ts input
flush chain inet weave-ts forward
flush chain inet weave-ts postrouting
table inet weave-ts {
  chain input {
    iifname ${bridge} ${refused}
  }
  chain forward {
    iifname ${bridge} oifname != ${bridge} ${refused}
  }
  chain postrouting {
${masqueradeRules(state)}  }
}
`;
}

/** Traffic within the mesh keeps its addresses, multicast too; ports are drawn at random to avoid clashing picks. */
function masqueradeRules(state: RulesetState): string {
  return ([4, 6] as const)
    .map((family) => {
      const sources = subnets(state.masquerade, family);
      if (sources.length === 0) return '';
      const word = family === 4 ? 'ip' : 'ip6';
      const multicast = family === 4 ? '224.0.0.0/4' : 'ff00::/8';
      const inside = subnets([...state.masquerade, state.range], family);
      const apart = `oifname != ${JSON.stringify(state.bridge)} ${word} daddr != { ${[...inside, multicast].join(', ')} }`;
      return `    ${word} saddr { ${sources.join(', ')} } ${apart} masquerade fully-random\n`;
    })
    .join('');
}

/** The networks of one family, each once and none within another: nft refuses overlapping elements of a set. */
function subnets(cidrs: readonly Cidr[], family: 4 | 6): string[] {
  const networks = cidrs
    .filter((cidr) => cidr.ip.family === family)
    .map((cidr) => ({ ip: networkOf(cidr), prefix: cidr.prefix }))
    .sort((a, b) => a.prefix - b.prefix || (a.ip.value < b.ip.value ? -1 : 1));
  const kept: Cidr[] = [];
  for (const network of networks) {
    if (!kept.some((wider) => networkOf({ ip: network.ip, prefix: wider.prefix }).value === wider.ip.value)) {
      kept.push(network);
    }
  }
  return kept.map(formatCidr);
}
