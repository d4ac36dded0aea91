import { writeFileSync } from 'node:fs';
import test from 'ava';
import { loadAddon } from '../../router/engine/addon.ts';
import { NativeEngine } from '../../router/engine/native.ts';
import { must, run, sleep } from '../../scripts/run.ts';
import { repeatContract } from '../router/engine/repeat-contract.ts';
import { udpNet, type EndWithHost } from '../router/engine/udp-net.ts';

/** Set in the process that has a network namespace of its own, where this file is run a second time. */
const INSIDE = 'WEAVE_TEST_INSIDE';
const LONGEST_FRAME = 65_557;
const BATCH = 64;
const PROBE_TRIES = 5_000;

let ends = 0;

/** An engine whose TAP is in a bridge with another one, which is the host's. */
function end(): EndWithHost {
  const number = ends++;
  const [tap, other, bridge] = [`tap${number}`, `host${number}`, `br${number}`];
  const addon = loadAddon();
  const engine = new NativeEngine();
  const handle = addon.tapOpen(other, false, () => undefined);
  const lengths = new Uint32Array(BATCH);
  const sends = (frame: Uint8Array): void => {
    addon.tapWriteFrames(
      handle,
      frame,
      0,
      1,
      Uint32Array.of(0),
      Uint32Array.of(frame.length),
      new Uint8Array(1),
      new Uint32Array(3),
    );
  };
  const takeReceived = (): Uint8Array[] => {
    const data = new Uint8Array(BATCH * 2_048 + LONGEST_FRAME);
    const offsets = new Uint32Array(BATCH);
    const count = addon.tapRead(
      handle,
      data,
      offsets,
      lengths,
      new Uint32Array(BATCH),
      new Uint8Array(BATCH),
      new Uint32Array(3),
    );
    return Array.from({ length: count }, (_, i) => data.slice(offsets[i], offsets[i]! + lengths[i]!));
  };
  const attach = async (): Promise<void> => {
    await must(['ip', 'link', 'add', bridge, 'up', 'type', 'bridge', 'mcast_snooping', '0']);
    for (const port of [tap, other]) await must(['ip', 'link', 'set', port, 'up', 'master', bridge]);
    // The bridge takes a moment until it forwards.
    for (let i = 0; i < PROBE_TRIES; i++) {
      sends(Uint8Array.of(2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, 0, 0));
      if (engine.readFrames().count > 0) break;
      await sleep(1);
    }
    for (let i = 0; i < 10; i++) engine.readFrames();
  };
  const close = async (): Promise<void> => {
    addon.tapClose(handle);
    for (const link of [bridge, other, tap]) await run(['ip', 'link', 'del', link]);
  };
  return { engine: closing(engine, close), host: { sends, takeReceived }, tap, attach };
}

/** The same engine, which does something more when it is closed. */
function closing(engine: NativeEngine, more: () => Promise<void>): NativeEngine {
  const close = engine.close.bind(engine);
  engine.close = () => close().then(more);
  return engine;
}

if (process.env[INSIDE] === undefined) {
  test('the native engine repeats decisions as every engine that does so', async (t) => {
    const ava = 'node_modules/ava/entrypoints/cli.mjs';
    const file = 'test/netns/repeat.test.ts';
    const argv = ['unshare', '--net', process.execPath, ava, '--config', 'ava.netns.config.js', file];
    const { code, stdout, stderr } = await run(argv, { env: { [INSIDE]: '1' }, limit: 150_000 });
    t.is(code, 0, stdout + stderr);
    t.log(stdout.trim().split('\n').at(-1));
  });
} else {
  test.before(async () => {
    await must(['ip', 'link', 'set', 'lo', 'up']);
    for (const which of ['all', 'default'])
      writeFileSync(`/proc/sys/net/ipv6/conf/${which}/disable_ipv6`, '1');
  });
  repeatContract('native', () => udpNet(end, end));
}
