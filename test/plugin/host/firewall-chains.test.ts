import test from 'ava';
import { iptablesChain, nativeChain, parseForwardHooks } from '../../../plugin/host/firewall-chains.ts';

const hook = { family: 'inet', table: 'fw', chain: 'fwd', policy: 'accept' } as const;
const rules = (...list: readonly Readonly<Record<string, unknown>>[]): string =>
  JSON.stringify({ nftables: [{ metainfo: {} }, ...list.map((rule) => ({ rule }))] });
const ours = (key: string, handle: number): Readonly<Record<string, unknown>> => ({
  handle,
  comment: 'weave-ts',
  expr: [{ match: { op: '==', left: { meta: { key } }, right: 'weave' } }, { accept: null }],
});

test('of all chains only those of others at the forward hook of IP families count', (t) => {
  const chain = (extra: object): object => ({
    chain: {
      family: 'ip',
      table: 'filter',
      name: 'FORWARD',
      hook: 'forward',
      type: 'filter',
      policy: 'drop',
      ...extra,
    },
  });
  const json = JSON.stringify({
    nftables: [
      chain({}),
      chain({ hook: 'input' }),
      chain({ family: 'bridge' }),
      chain({ table: 'weave-ts' }),
      chain({ type: 'route' }),
      chain({ family: 'inet', table: 'fw', name: 'fwd', policy: undefined }),
      { chain: 7 },
    ],
  });
  t.deepEqual(parseForwardHooks(json), [
    { family: 'ip', table: 'filter', chain: 'FORWARD', policy: 'drop' },
    { family: 'inet', table: 'fw', chain: 'fwd', policy: 'accept' },
  ]);
  t.deepEqual(parseForwardHooks('not JSON'), []);
});

for (const [what, policy, listing, drops] of [
  ['a policy of drop', 'drop', rules(), true],
  ['a policy of accept', 'accept', rules(), false],
  ['a last rule that rejects all', 'accept', rules({ expr: [{ counter: {} }, { reject: {} }] }), true],
  ['a last rule that drops some', 'accept', rules({ expr: [{ match: {} }, { drop: null }] }), false],
  [
    'a drop before the last rule',
    'accept',
    rules({ expr: [{ drop: null }] }, { expr: [{ accept: null }] }),
    false,
  ],
  ['a last rule without a verdict', 'accept', rules({ expr: [{ counter: {} }] }), false],
] as const) {
  test(`a chain of nftables with ${what} ${drops ? 'drops' : 'does not drop'} by default`, (t) => {
    t.is(nativeChain({ ...hook, policy }, listing, 'weave').drops, drops);
  });
}

test('our rules in a chain of nftables are known by comment and bridge, and removed by handle', (t) => {
  const listing = rules(ours('iifname', 4), ours('oifname', 3), { comment: 'weave-ts', handle: 9, expr: [] });
  const chain = nativeChain(hook, listing, 'weave');
  t.true(chain.open);
  t.deepEqual(
    chain.removals.map((words) => words.join(' ')),
    ['nft delete rule inet fw fwd handle 4', 'nft delete rule inet fw fwd handle 3'],
  );
  const half = nativeChain(hook, rules(ours('iifname', 4)), 'weave');
  t.false(half.open);
  t.is(half.removals.length, 1);
  t.false(nativeChain(hook, listing, 'other').open);
  t.is(
    half.insertions.at(-1)?.join(' '),
    'nft insert rule inet fw fwd iifname "weave" accept comment "weave-ts"',
  );
});

const accept = '-A FORWARD -i weave -m comment --comment weave-ts -j ACCEPT';
const replies =
  '-A FORWARD -o weave -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment weave-ts -j ACCEPT';

for (const [what, lines, drops] of [
  ['-P FORWARD DROP', ['-P FORWARD DROP'], true],
  ['-P FORWARD ACCEPT', ['-P FORWARD ACCEPT'], false],
  ['a final REJECT', ['-P FORWARD ACCEPT', '-A FORWARD -j REJECT --reject-with icmp-host-prohibited'], true],
  [
    'a final DROP with a comment',
    ['-P FORWARD ACCEPT', '-A FORWARD -m comment --comment "no way" -j DROP'],
    true,
  ],
  ['a final DROP of some', ['-P FORWARD ACCEPT', '-A FORWARD -s 192.0.2.0/24 -j DROP'], false],
  ['an ACCEPT after a DROP', ['-P FORWARD ACCEPT', '-A FORWARD -j DROP', '-A FORWARD -j ACCEPT'], false],
] as const) {
  test(`iptables with ${what} ${drops ? 'drops' : 'does not drop'} by default`, (t) => {
    t.is(iptablesChain('iptables-nft', lines.join('\n'), '', 'weave').drops, drops);
  });
}

test('the rules go to the head of FORWARD, the general one first', (t) => {
  const chain = iptablesChain('iptables-legacy', '-P FORWARD DROP', '', 'weave');
  t.false(chain.open);
  t.deepEqual(
    chain.insertions.map((words) => words.join(' ')),
    [replies, accept].map((rule) => rule.replace('-A FORWARD', 'iptables-legacy -w -I FORWARD 1')),
  );
});

test('the rules go into DOCKER-USER when FORWARD passes through it, and leave FORWARD', (t) => {
  const forward = ['-P FORWARD DROP', accept, '-A FORWARD -j DOCKER-USER'].join('\n');
  const chain = iptablesChain('iptables-nft', forward, '-N DOCKER-USER\n-A DOCKER-USER -j RETURN', 'weave');
  t.false(chain.open);
  t.true(chain.insertions.every((words) => words.includes('DOCKER-USER')));
  t.deepEqual(
    chain.removals.map((words) => words.join(' ')),
    [accept.replace('-A', 'iptables-nft -w -D')],
  );
  const unused = iptablesChain('iptables-nft', '-P FORWARD DROP', '-N DOCKER-USER', 'weave');
  t.true(unused.insertions.every((words) => words.includes('FORWARD')));
});

test('rules in place are recognised with and without quotes, and those of another bridge are not ours', (t) => {
  const forward = ['-P FORWARD DROP', accept.replace('weave-ts', '"weave-ts"'), replies].join('\n');
  t.true(iptablesChain('iptables-nft', forward, '', 'weave').open);
  const other = iptablesChain('iptables-nft', forward, '', 'weave2');
  t.false(other.open);
  t.deepEqual(other.removals, []);
});
