/** A command line, in words. */
export type CommandLine = readonly [string, ...string[]];

/** A chain of somebody else's at the forward hook, and how to let our bridge through it. */
export interface ForwardChain {
  /** For people. */
  readonly name: string;
  /** By its policy, or by a last rule without conditions. */
  readonly drops: boolean;
  /** Our rules are in it. */
  readonly open: boolean;
  /** In this order they leave our rules at the head. */
  readonly insertions: readonly CommandLine[];
  /** One for each rule of ours that is there now, complete or not. */
  readonly removals: readonly CommandLine[];
}

/** Where a base chain of nftables hangs. */
export interface ForwardHook {
  readonly family: 'ip' | 'ip6' | 'inet';
  readonly table: string;
  readonly chain: string;
  readonly policy: string;
}

/** The comment by which our rules are known again. */
export const FIREWALL_MARK = 'weave-ts';

type Row = Readonly<Record<string, unknown>>;

/** The output of `nft -j list chains`: base chains at the forward hook that see IP packets, without our own. */
export function parseForwardHooks(json: string): ForwardHook[] {
  return nftRows(json, 'chain').flatMap((row) => {
    const { family, table, name, hook, type, policy } = row;
    if (hook !== 'forward' || type !== 'filter' || table === 'weave-ts') return [];
    if (family !== 'ip' && family !== 'ip6' && family !== 'inet') return [];
    if (typeof table !== 'string' || typeof name !== 'string') return [];
    return [{ family, table, chain: name, policy: typeof policy === 'string' ? policy : 'accept' }];
  });
}

/** A chain of nftables itself; `json` is the output of `nft -j -a list chain`. */
export function nativeChain(hook: ForwardHook, json: string, bridge: string): ForwardChain {
  const rules = nftRows(json, 'rule');
  const ours = rules.filter((rule) => rule['comment'] === FIREWALL_MARK && mentions(rule, bridge));
  const place = [hook.family, hook.table, hook.chain];
  const insert = (...match: string[]): CommandLine => {
    return ['nft', 'insert', 'rule', ...place, ...match, 'accept', 'comment', `"${FIREWALL_MARK}"`];
  };
  return {
    name: `the chain ${hook.chain} of the nftables table ${hook.family} ${hook.table}`,
    drops: hook.policy === 'drop' || endsInDrop(rules),
    open: ours.length >= 2,
    insertions: [
      insert('oifname', JSON.stringify(bridge), 'ct', 'state', 'established,related'),
      insert('iifname', JSON.stringify(bridge)),
    ],
    removals: ours.map((rule) => ['nft', 'delete', 'rule', ...place, 'handle', String(rule['handle'])]),
  };
}

/**
 * The FORWARD chain of an iptables program. `forward` and `dockerUser` are what `-S` says of the two chains; our
 * rules go into DOCKER-USER if FORWARD passes through it, as Docker puts that one first and leaves it alone.
 */
export function iptablesChain(
  program: string,
  forward: string,
  dockerUser: string,
  bridge: string,
): ForwardChain {
  const place = /^-A FORWARD -j DOCKER-USER$/m.test(forward) ? 'DOCKER-USER' : 'FORWARD';
  const ours = markedRules(place === 'FORWARD' ? forward : dockerUser, bridge);
  const stray = markedRules(place === 'FORWARD' ? dockerUser : forward, bridge);
  const rule = (match: readonly string[]): CommandLine => {
    const mark = ['-m', 'comment', '--comment', FIREWALL_MARK, '-j', 'ACCEPT'];
    return [program, '-w', '-I', place, '1', ...match, ...mark];
  };
  return {
    name: `the chain FORWARD of ${program}`,
    drops: /^-P FORWARD DROP$/m.test(forward) || lastRuleDrops(forward),
    open: ours.length >= 2,
    insertions: [
      rule(['-o', bridge, '-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED']),
      rule(['-i', bridge]),
    ],
    removals: [...ours, ...stray].map((words) => [program, '-w', '-D', ...words]),
  };
}

/** The words after -A of each rule that carries our mark and names the bridge. */
function markedRules(listing: string, bridge: string): string[][] {
  return listing
    .split('\n')
    .filter((line) => line.startsWith('-A ') && / --comment "?weave-ts"? /.test(line))
    .map((line) => line.slice(3).replaceAll('"', '').split(' '))
    .filter((words) => words.includes(bridge));
}

/** RHEL's rules end so instead of having a policy. Conditions other than a comment make it another matter. */
function lastRuleDrops(listing: string): boolean {
  const last = listing
    .split('\n')
    .filter((line) => line.startsWith('-A '))
    .at(-1);
  return /^-A FORWARD (-m comment --comment ("[^"]*"|\S+) )?-j (DROP|REJECT)\b/.test(last ?? '');
}

/** As firewalld's chains end: whether the last rule drops or rejects whatever reaches it. */
function endsInDrop(rules: readonly Row[]): boolean {
  const expressions = rules.at(-1)?.['expr'];
  if (!Array.isArray(expressions)) return false;
  const verdicts = expressions.filter((part) => isRow(part) && !('counter' in part) && !('log' in part));
  const only = verdicts[0] as Row | undefined;
  return verdicts.length === 1 && only !== undefined && ('drop' in only || 'reject' in only);
}

function mentions(rule: Row, bridge: string): boolean {
  const expressions = Array.isArray(rule['expr']) ? rule['expr'].filter(isRow) : [];
  return expressions.some((part) => isRow(part['match']) && part['match']['right'] === bridge);
}

/** The objects of one kind in the output of `nft -j`; none if it is not of that form. */
export function nftRows(json: string, kind: 'chain' | 'rule' | 'counter'): Row[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    return [];
  }
  const list = isRow(parsed) && Array.isArray(parsed['nftables']) ? parsed['nftables'] : [];
  return list.flatMap((entry: unknown) => (isRow(entry) && isRow(entry[kind]) ? [entry[kind]] : []));
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
