import { formatCidr, networkOf } from '../../core/address.ts';
import type { Cidr } from '../../core/address.ts';
import type { HostCommands } from './commands.ts';
import { HOST_INTERFACE_PREFIX } from './mac-address.ts';

/** Everything our two tables depend on. */
export interface RulesetState {
  readonly bridge: string;
  readonly range: Cidr;
  /** Exposed addresses whose subnets are masqueraded on their way out. */
  readonly masquerade: readonly Cidr[];
  /** TCP and UDP port of the mesh. */
  readonly controlPort: number;
}

const TABLES = ['inet weave-ts', 'bridge weave-ts'] as const;

/** Replaces both tables in one transaction. */
export async function applyRuleset(host: HostCommands, state: RulesetState): Promise<void> {
  await host.run('nft', ['-f', '-'], { input: rulesetText(state) });
}

export async function removeRuleset(host: HostCommands): Promise<void> {
  await host.run('nft', ['-f', '-'], { input: emptyTables() });
}

/** The whole desired state. Other tables are not mentioned. Same state, same text. */
export function rulesetText(state: RulesetState): string {
  return [emptyTables(), inetTable(state), bridgeTable()].join('');
}

/** Naming a table before deleting it makes the deletion succeed whether it was there or not. */
function emptyTables(): string {
  return TABLES.map((table) => `table ${table}\ndelete table ${table}\n`).join('');
}

function inetTable(state: RulesetState): string {
  const bridge = JSON.stringify(state.bridge);
  return `table inet weave-ts {
  chain input {
    type filter hook input priority filter - 5; policy accept;
    iifname ${bridge} tcp dport ${state.controlPort} drop
    iifname ${bridge} udp dport ${state.controlPort} drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
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

/**
 * What attached namespaces must not send: router advertisements and the answers of DHCP servers (CVE-2020-11091).
 * Frames of remote ones are checked on their own host.
 */
function bridgeTable(): string {
  const port = `iifname "${HOST_INTERFACE_PREFIX}*"`;
  return `table bridge weave-ts {
  chain prerouting {
    type filter hook prerouting priority filter; policy accept;
    ${port} icmpv6 type { nd-router-advert, nd-redirect } drop
    ${port} ether type ip udp sport 67 udp dport 68 drop
    ${port} ether type ip6 udp sport 547 udp dport 546 drop
  }
}
`;
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
