import test from 'ava';
import { parseCidr } from '../../../core/address.ts';
import { HostCommands } from '../../../plugin/host/commands.ts';
import { HostNetwork } from '../../../plugin/host/host-network.ts';
import { attribute, message, u32 } from '../../../plugin/host/netlink-message.ts';
import { CommandError } from '../../../plugin/host/run.ts';

/** A host without chains of others, whose nft may not answer. */
class Commands extends HostCommands {
  answers = true;
  asked = 0;

  override run(): Promise<string> {
    this.asked++;
    if (this.answers) return Promise.resolve('{"nftables":[]}');
    return Promise.reject(new CommandError('nft', 'no answer in time', {}));
  }

  override readProc(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

/** NFT_MSG_NEWGEN with NFTA_GEN_ID: nobody changes any rules. */
const SAME_RULES = message((10 << 8) | 15, 0, u32(0), attribute(1, u32(7)));

test('a firewall that could not be read is read again although no rule has changed, and then not any more', async (t) => {
  const commands = new Commands();
  const settings = {
    bridge: 'weave',
    tap: 'weave-tap',
    mac: '02:00:00:00:00:01',
    mtu: 1_388,
    range: parseCidr('10.32.0.0/12')!,
    controlPort: 6_783,
    changeFirewall: true,
  };
  const network = new HostNetwork(commands, settings, {
    run: () => Promise.resolve(SAME_RULES),
    namespaceNumber: () => undefined,
  });
  commands.answers = false;
  await network.refreshFirewall();
  t.regex(network.problems().join(), /cannot be read \(nft: no answer in time\)/);
  commands.answers = true;
  await network.refreshFirewall();
  t.deepEqual(network.problems(), []);
  const { asked } = commands;
  await network.refreshFirewall();
  t.is(commands.asked, asked);
});
