import test from 'ava';
import { SeededRandom } from '../../core/random.ts';
import { BadValue } from '../../cli/exit.ts';
import { prepareNode } from '../../cli/prepare-node.ts';
import { checkSettings } from '../../cli/settings.ts';
import { targetsChange } from '../../router/stored-targets.ts';
import { fakePrimitives } from '../sim/fake-primitives.ts';
import { MemoryStore } from '../plugin/host/host-fakes.ts';
import { standardFlags } from './standard-flags.ts';

const surroundings = { hostName: 'here', socket: '/run/weave-ts/api.sock', passwordFile: undefined };

const tools = { primitives: fakePrimitives, random: new SeededRandom(1) };

async function prepared(stored: readonly string[], given: readonly string[], resume: boolean) {
  const store = new MemoryStore();
  await store.commit([targetsChange({ targets: stored, candidates: [] })]);
  return prepareNode(checkSettings({ ...standardFlags, resume }, given, surroundings), [], store, tools);
}

for (const [resume, expected] of [
  [false, ['192.0.2.1:6783']],
  [true, ['192.0.2.1:6783', 'host2.example:7000']],
] as const) {
  test(`a start ${resume ? 'with' : 'without'} --resume connects to ${expected.join(' and ')}, once`, async (t) => {
    const stored = ['192.0.2.1:6783', 'host2.example:7000'];
    const { targets, leftOut, config } = await prepared(stored, ['192.0.2.1'], resume);
    t.deepEqual([targets, leftOut], [expected, 0]);
    t.deepEqual(
      config.ipam?.init,
      { type: 'consensus', voters: expected.length + 1 },
      'and all of them vote',
    );
  });
}

test('targets of the last run that there is no room for are left out and counted', async (t) => {
  const hosts = (from: number) => Array.from({ length: 600 }, (_, i) => `host${from + i}.example:6783`);
  const { targets, leftOut } = await prepared(hosts(0), hosts(500), true);
  t.deepEqual([targets.length, leftOut], [1_024, 76]);
  t.deepEqual(targets.slice(0, 600), hosts(500), 'those that are given now come first');
});

test('more peers than a host can be given are refused', (t) => {
  const peers = Array.from({ length: 1_025 }, (_, i) => `host${i}.example`);
  t.throws(() => checkSettings(standardFlags, peers, surroundings), {
    instanceOf: BadValue,
    message: '1025 peers are given: at most 1024 can be',
  });
});
