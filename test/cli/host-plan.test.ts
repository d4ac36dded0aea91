import test from 'ava';
import { isFresh } from '../../cli/host-plan.ts';
import { HostCommands } from '../../plugin/host/commands.ts';
import { KernelError } from '../../plugin/host/kernel.ts';
import type { Link } from '../../plugin/host/link-query.ts';
import { hasTables, readCounters } from '../../plugin/host/nftables.ts';
import { CommandError } from '../../plugin/host/run.ts';
import type { RunOptions } from '../../plugin/host/run.ts';

const named = (...names: string[]) => ({ links: names.map((name) => ({ name })) as Link[] });

test('a failed start removes everything only where nothing of a former run was there', (t) => {
  t.true(isFresh(named('eth0', 'weave2'), 'weave', false));
  t.false(isFresh(named('weave'), 'weave', false));
  t.false(isFresh(named('eth0', 'vethwe1234567'), 'weave', false));
  t.false(isFresh(named('eth0'), 'weave', true));
});

class Nft extends HostCommands {
  limit: number | undefined;

  override run(_program: string, _args: readonly string[], options: RunOptions = {}): Promise<string> {
    this.limit = options.timeoutMs;
    return Promise.reject(new CommandError('nft', 'no answer in time', {}));
  }
}

test('a kernel that does not tell of tables is taken to have those of a former run', async (t) => {
  const kernel = (run: () => Promise<Uint8Array>) => ({ run, namespaceNumber: () => undefined });
  t.false(
    await hasTables(
      kernel(() => Promise.resolve(new Uint8Array())),
      undefined,
    ),
  );
  const refusal = new KernelError('look', 'EPERM', 'Operation not permitted (EPERM)', 0);
  t.true(
    await hasTables(
      kernel(() => Promise.reject(refusal)),
      undefined,
    ),
  );
});

test('the status waits for counters no longer than its client does for the status', async (t) => {
  const nft = new Nft();
  t.deepEqual(await readCounters(nft), {});
  t.true(nft.limit! <= 5_000);
});
