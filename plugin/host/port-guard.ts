import { formatIp, ipFromBytes, ipToBytes } from '../../core/address.ts';
import type { IpAddress } from '../../core/address.ts';
import { concatBytes, utf8 } from '../../core/bytes.ts';
import type { HostCommands } from './commands.ts';
import { changeElements } from './guard-elements.ts';
import type { SetElement } from './guard-elements.ts';
import { KernelError } from './kernel.ts';
import type { KernelPort } from './kernel.ts';
import { HOST_INTERFACE_PREFIX, macBytes } from './mac-address.ts';
import type { MacText } from './mac-address.ts';
import { CommandError } from './run.ts';

/** What one port may send with; everything else from it is dropped by the kernel, whether the daemon runs or not. */
export interface PortGuard {
  readonly hostInterface: string;
  readonly mac: MacText;
  /** Without link-local ones: the address that follows from the MAC is always allowed. */
  readonly addresses: readonly IpAddress[];
}

/** The counters of the table, as `nft list counters` names them. */
export const GUARD_COUNTERS = [
  'forged_mac',
  'forged_address',
  'router_advertisement',
  'dhcp_answer',
  'spanning_tree',
  'other_protocol',
  'storm',
] as const;

/** Broadcasts and multicasts that one port may send, per second and at once: a fifth of what a host may flood. */
const STORM_RATE = 2_000;
const STORM_BURST = 2_000;

const STORM_LIMIT = `limit rate over ${STORM_RATE}/second burst ${STORM_BURST} packets`;

const TABLE_NAME = 'weave-ts';
const TABLE = `bridge ${TABLE_NAME}`;

/** Through which everything goes that ports send. */
export const GUARD_CHAIN = `${TABLE} prerouting`;

/** Sets with what each port may send. The last are the same addresses in the form in which nft takes a raw payload. */
const SETS = {
  guarded: 'type ifname',
  macs: 'type ifname . ether_addr',
  addresses: 'type ifname . ipv4_addr',
  addresses6: 'type ifname . ipv6_addr',
  targets6: 'typeof iifname . @th,64,128',
} as const;

type SetName = keyof typeof SETS;

/**
 * The rules of the bridge table; what the sets and counters hold stays. Every attached namespace: no router
 * advertisements and redirects, no answers of DHCP servers (CVE-2020-11091), no spanning tree, and no storms of broadcasts:
 * each port has a rate of its own. Guarded ports: only
 * frames with their own MAC and addresses, in ARP and neighbour advertisements too, and nothing but IP and ARP; asked
 * before it has an address, by 0.0.0.0 or ::, a port may only whether its own are free.
 * Frames of remote ports are checked on their own host.
 */
export function guardRules(): string {
  const declared = [
    ...GUARD_COUNTERS.map((name) => `  counter ${name} { }`),
    ...Object.entries(SETS).map(([name, type]) => `  set ${name} { ${type}; }`),
    '  set storms { type ifname; size 65535; flags dynamic,timeout; timeout 1m; }',
  ];
  return `table ${TABLE} {
${declared.join('\n')}
  chain guard { }
  chain prerouting { type filter hook prerouting priority filter; policy accept; }
}
flush chain ${TABLE} prerouting
flush chain ${TABLE} guard
table ${TABLE} {
  chain guard {
    iifname . ether saddr != @macs ${drop('forged_mac')}
    iifname . arp saddr ether != @macs ${drop('forged_mac')}
    arp saddr ip 0.0.0.0 iifname . arp daddr ip @addresses accept
    iifname . arp saddr ip != @addresses ${drop('forged_address')}
    iifname . ip saddr != @addresses ${drop('forged_address')}
    ip6 saddr :: icmpv6 type nd-neighbor-solicit iifname . @th,64,128 @targets6 accept
    ip6 saddr :: icmpv6 type mld2-listener-report accept
    iifname . ip6 saddr != @addresses6 ${drop('forged_address')}
    icmpv6 type nd-neighbor-advert iifname . @th,64,128 != @targets6 ${drop('forged_address')}
    ether type != { ip, ip6, arp } ${drop('other_protocol')}
  }
  chain prerouting {
    iifname != "${HOST_INTERFACE_PREFIX}*" accept
    ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 ${drop('spanning_tree')}
    icmpv6 type { nd-router-advert, nd-redirect } ${drop('router_advertisement')}
    ether type ip udp sport 67 udp dport 68 ${drop('dhcp_answer')}
    ether type ip6 udp sport 547 udp dport 546 ${drop('dhcp_answer')}
    meta pkttype { broadcast, multicast } update @storms { iifname ${STORM_LIMIT} } ${drop('storm')}
    iifname @guarded goto guard
  }
}
`;
}

/** Exactly these ports are guarded. */
export function guardsText(guards: readonly PortGuard[]): string {
  const flush = Object.keys(SETS).map((name) => `flush set ${TABLE} ${name}\n`);
  return flush.join('') + guards.map(addText).join('');
}

/**
 * The guards in force, in memory and in the kernel. Changes take effect in the order of the calls. Where the kernel
 * refuses one, as somebody has flushed the table, it is given everything anew.
 */
export class PortGuards {
  readonly #host: HostCommands;
  readonly #kernel: KernelPort;
  #guards: ReadonlyMap<string, PortGuard> = new Map();
  #last: Promise<unknown> = Promise.resolve();

  constructor(host: HostCommands, kernel: KernelPort) {
    this.#host = host;
    this.#kernel = kernel;
  }

  has(hostInterface: string): boolean {
    return this.#guards.has(hostInterface);
  }

  add(guard: PortGuard): Promise<void> {
    return this.#inOrder(async () => {
      const after = new Map(this.#guards).set(guard.hostInterface, guard);
      await this.#change('add', guard, after);
    });
  }

  /** To be called when the port is gone. */
  remove(hostInterface: string): Promise<void> {
    return this.#inOrder(async () => {
      const guard = this.#guards.get(hostInterface);
      if (guard === undefined) return;
      const after = new Map(this.#guards);
      after.delete(hostInterface);
      await this.#change('delete', guard, after);
    });
  }

  /**
   * Gives the kernel these rules and with them, in one transaction, all guards: whoever flushed the one took the other.
   * `guards`: all there are to be from now on, as the run before left them.
   */
  apply(rules: string, guards?: readonly PortGuard[]): Promise<void> {
    return this.#inOrder(async () => {
      const all =
        guards === undefined ? this.#guards : new Map(guards.map((guard) => [guard.hostInterface, guard]));
      await this.#give(rules, all);
    });
  }

  #inOrder(work: () => Promise<void>): Promise<void> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #change(
    verb: 'add' | 'delete',
    guard: PortGuard,
    after: ReadonlyMap<string, PortGuard>,
  ): Promise<void> {
    const what = `${verb} the guard of the port ${guard.hostInterface}`;
    const step = changeElements(what, verb, TABLE_NAME, elementsOf(guard));
    try {
      await this.#kernel.run(this.#host.netns, [step]);
      this.#guards = after;
    } catch (error) {
      if (!(error instanceof KernelError) || error.code !== 'ENOENT') throw error;
      await this.#give(guardRules(), after);
    }
  }

  async #give(rules: string, guards: ReadonlyMap<string, PortGuard>): Promise<void> {
    await this.#host.run('nft', ['-f', '-'], { input: rules + guardsText([...guards.values()]) });
    this.#guards = guards;
  }
}

/** Whether the kernel has the guard of this port. */
export async function isGuarded(host: HostCommands, hostInterface: string): Promise<boolean> {
  const element = `{ ${JSON.stringify(hostInterface)} }`;
  return host.run('nft', ['get', 'element', ...TABLE.split(' '), 'guarded', element]).then(
    () => true,
    (error: unknown) => {
      if (error instanceof CommandError && error.code !== undefined) return false;
      throw error;
    },
  );
}

/** What each set holds of one port, for the kernel. */
function elementsOf({ hostInterface, mac, addresses }: PortGuard): SetElement[] {
  const port = filled(utf8(hostInterface), INTERFACE_NAME_BYTES);
  const four = addresses.filter((ip) => ip.family === 4).map((ip) => concatBytes(port, ipToBytes(ip)));
  const six = allowed6(mac, addresses).map((ip) => concatBytes(port, ipToBytes(ip)));
  const keys: Record<SetName, readonly Uint8Array[]> = {
    guarded: [port],
    macs: [concatBytes(port, filled(macBytes(mac), MAC_FIELD_BYTES))],
    addresses: four,
    addresses6: six,
    targets6: six,
  };
  return Object.entries(keys).flatMap(([set, list]) => list.map((key) => ({ set, key })));
}

/** The same for `nft`. */
function addText({ hostInterface, mac, addresses }: PortGuard): string {
  const port = JSON.stringify(hostInterface);
  const four = addresses.filter((ip) => ip.family === 4).map(formatIp);
  const six = allowed6(mac, addresses);
  const lists: Record<SetName, readonly string[]> = {
    guarded: [port],
    macs: [`${port} . ${mac}`],
    addresses: four.map((ip) => `${port} . ${ip}`),
    addresses6: six.map((ip) => `${port} . ${formatIp(ip)}`),
    targets6: six.map((ip) => `${port} . 0x${ip.value.toString(16).padStart(32, '0')}`),
  };
  return Object.entries(lists)
    .filter(([, list]) => list.length > 0)
    .map(([set, list]) => `add element ${TABLE} ${set} { ${list.join(', ')} }\n`)
    .join('');
}

/** IFNAMSIZ of linux/if.h. */
const INTERFACE_NAME_BYTES = 16;
/** The six bytes of a MAC as a field of a longer key. */
const MAC_FIELD_BYTES = 8;

function filled(bytes: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  out.set(bytes);
  return out;
}

function allowed6(mac: MacText, addresses: readonly IpAddress[]): IpAddress[] {
  return [linkLocalOf(mac), ...addresses].filter((ip) => ip.family === 6);
}

/** The link-local address that the kernel makes of a MAC (RFC 4291, appendix A). */
export function linkLocalOf(mac: MacText): IpAddress {
  const [a, b, c, d, e, f] = macBytes(mac);
  const bytes = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a! ^ 2, b!, c!, 0xff, 0xfe, d!, e!, f!);
  return ipFromBytes(bytes)!;
}

function drop(counter: (typeof GUARD_COUNTERS)[number]): string {
  return `counter name ${counter} drop`;
}
