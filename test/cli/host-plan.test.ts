import test from 'ava';
import { isFresh } from '../../cli/host-plan.ts';
import { HostCommands } from '../../plugin/host/commands.ts';
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
  readonly #tables: string | undefined;

  constructor(tables: string | undefined) {
    super();
    this.#tables = tables;
  }

  override run(_program: string, _args: readonly string[], options: RunOptions = {}): Promise<string> {
    this.limit = options.timeoutMs;
    if (this.#tables !== undefined) return Promise.resolve(this.#tables);
    return Promise.reject(new CommandError('nft', 'no answer in time', {}));
  }
}

test('tables of this daemon are told from those of others, and nothing is taken for none', async (t) => {
  t.true(await hasTables(new Nft('table ip nat\ntable bridge weave-ts\n')));
  t.false(await hasTables(new Nft('table ip nat\ntable inet weave-ts-old\n')));
  t.true(await hasTables(new Nft(undefined)));
});

test('the status waits for counters no longer than its client does for the status', async (t) => {
  const nft = new Nft(undefined);
  t.deepEqual(await readCounters(nft), {});
  t.true(nft.limit! <= 5_000);
});
