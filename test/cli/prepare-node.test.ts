import test from 'ava';
import { SeededRandom } from '../../core/random.ts';
import { prepareNode } from '../../cli/prepare-node.ts';
import { checkSettings } from '../../cli/settings.ts';
import { targetsChange } from '../../router/stored-targets.ts';
import { fakePrimitives } from '../sim/fake-primitives.ts';
import { MemoryStore } from '../plugin/host/host-fakes.ts';
import { standardFlags } from './standard-flags.ts';

const surroundings = { hostName: 'here', socket: '/run/weave-ts/api.sock', passwordFile: undefined };

for (const [resume, expected] of [
  [false, ['192.0.2.1']],
  [true, ['192.0.2.1', 'host2.example:7000']],
] as const) {
  test(`a start ${resume ? 'with' : 'without'} --resume connects to ${expected.join(' and ')}`, async (t) => {
    const store = new MemoryStore();
    await store.commit([targetsChange({ targets: ['192.0.2.1', 'host2.example:7000'], candidates: [] })]);
    const settings = checkSettings({ ...standardFlags, resume }, ['192.0.2.1'], surroundings);
    const tools = { primitives: fakePrimitives, random: new SeededRandom(1) };
    t.deepEqual(prepareNode(settings, [], store, tools).targets, expected);
  });
}
