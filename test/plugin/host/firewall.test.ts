import test from 'ava';
import { parseCidr } from '../../../core/address.ts';
import { HostCommands } from '../../../plugin/host/commands.ts';
import { HostNetwork } from '../../../plugin/host/host-network.ts';
import { attribute, message, u32 } from '../../../plugin/host/netlink-message.ts';
import { CommandError } from '../../../plugin/host/run.ts';

/** A host without chains of others, whose nft may not answer. */
class Commands extends HostCommands {
  answers = true;
  links: readonly object[] = [];
  readonly asked: string[] = [];

  override run(program: string, args: readonly string[]): Promise<string> {
    this.asked.push([program, ...args].join(' '));
    if (program === 'ip') return Promise.resolve(JSON.stringify(this.links));
    if (this.answers) return Promise.resolve('{"nftables":[]}');
    return Promise.reject(new CommandError('nft', 'no answer in time', {}));
  }

  override readProc(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

/** NFT_MSG_NEWGEN with NFTA_GEN_ID: nobody changes any rules. */
const SAME_RULES = message((10 << 8) | 15, 0, u32(0), attribute(1, u32(7)));

const SETTINGS = {
  bridge: 'weave',
  tap: 'weave-tap',
  mac: '02:00:00:00:00:01',
  mtu: 1_388,
  range: parseCidr('10.32.0.0/12')!,
  controlPort: 6_783,
  changeFirewall: true,
};

test('a firewall that could not be read is read again although no rule has changed, and then not any more', async (t) => {
  const commands = new Commands();
  const network = new HostNetwork(commands, SETTINGS, {
    run: () => Promise.resolve(SAME_RULES),
    namespaceNumber: () => undefined,
  });
  commands.answers = false;
  await network.refreshFirewall();
  t.regex(network.problems().join(), /cannot be read \(nft: no answer in time\)/);
  commands.answers = true;
  await network.refreshFirewall();
  t.deepEqual(network.problems(), []);
  const asked = [...commands.asked];
  await network.refreshFirewall();
  t.deepEqual(commands.asked, asked);
});

test('what cannot be removed keeps nothing else from being removed, and is told', async (t) => {
  const commands = new Commands();
  commands.answers = false;
  commands.links = [{ ifname: 'weave-tap', ifindex: 2, mtu: 1_388, linkinfo: { info_kind: 'tun' } }];
  const steps: string[] = [];
  const network = new HostNetwork(commands, SETTINGS, {
    run: (_, asked) => {
      steps.push(...asked.map(({ what }) => what));
      return Promise.reject(new Error('the kernel refuses'));
    },
    namespaceNumber: () => undefined,
  });
  await t.throwsAsync(network.clean(), { message: 'the kernel refuses' });
  t.deepEqual(steps, ['remove the interface weave-tap', 'remove the interface weave']);
  t.deepEqual(commands.asked.slice(1), ['nft -j list chains', 'nft -f -']);
});
