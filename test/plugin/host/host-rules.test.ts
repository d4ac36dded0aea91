import test from 'ava';
import { HostCommands } from '../../../plugin/host/commands.ts';
import { HostNetwork } from '../../../plugin/host/host-network.ts';
import { CommandError } from '../../../plugin/host/run.ts';
import type { RunOptions } from '../../../plugin/host/run.ts';
import { cidr } from './host-fakes.ts';

/** What nft is told, and whether the chains of the daemon are there. */
class Nft extends HostCommands {
  readonly applied: string[] = [];
  flushed = true;
  failing = false;

  override run(program: string, args: readonly string[], { input }: RunOptions = {}): Promise<string> {
    if (program !== 'nft') return Promise.resolve('[]');
    if (args[0]!.startsWith('list chain') && this.flushed) {
      return Promise.reject(new CommandError('nft', 'no such chain', { code: 1 }));
    }
    if (args[0] !== '-f') return Promise.resolve('{"nftables":[]} goto guard control_port');
    if (this.failing) return Promise.reject(new CommandError('nft', 'no memory', { code: 1 }));
    this.flushed = false;
    this.applied.push(input ?? '');
    return Promise.resolve('');
  }

  override readProc(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

const GUARD = {
  hostInterface: 'vethwe1234567',
  mac: '02:00:00:00:00:07',
  addresses: [cidr('10.32.0.7/12').ip],
};
const NOTHING = { addresses: [], masquerade: [], remove: [] };

function networkOn(nft: Nft): HostNetwork {
  const settings = {
    bridge: 'weave',
    tap: 'weave-tap',
    mac: '02:00:00:00:00:01',
    mtu: 1_388,
    range: cidr('10.32.0.0/12'),
    controlPort: 6_783,
    changeFirewall: true,
  };
  const kernel = { run: () => Promise.resolve(new Uint8Array()), namespaceNumber: () => undefined };
  return new HostNetwork(nft, settings, kernel);
}

function isWhole(text: string): boolean {
  return text.includes('goto guard') && text.includes('addresses { "vethwe1234567" . 10.32.0.7 }');
}

test('whoever puts flushed rules back puts the guards of all ports back with them', async (t) => {
  const nft = new Nft();
  const network = networkOn(nft);
  await network.setUp({ masquerade: [], guards: [GUARD] });
  for (const mend of [() => network.expose(NOTHING), () => network.repair()]) {
    nft.flushed = true;
    nft.failing = true;
    await Promise.allSettled([mend()]);
    nft.failing = false;
    nft.applied.length = 0;
    await mend();
    t.true(isWhole(nft.applied[0]!));
    t.true(nft.applied.every(isWhole));
  }
});

test('a start masquerades what the run before it did, and guards its ports and no others, in one transaction', async (t) => {
  const nft = new Nft();
  await networkOn(nft).setUp({ masquerade: [cidr('10.32.0.1/12')], guards: [GUARD] });
  const [text = '', ...more] = nft.applied;
  t.deepEqual(more, []);
  t.regex(text, /ip saddr \{ 10\.32\.0\.0\/12 \} .* masquerade fully-random/);
  t.regex(text, /flush set bridge weave-ts guarded/);
  t.true(isWhole(text));
});
