import test from 'ava';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kernel, KernelError, setting } from '../../../plugin/host/kernel.ts';
import type { KernelStep } from '../../../plugin/host/kernel.ts';
import { findLink, lookForLink, readLink, readLinks } from '../../../plugin/host/link-requests.ts';
import { u32 } from '../../../plugin/host/netlink-message.ts';
import { loadAddon } from '../../../router/engine/addon.ts';
import type { KernelOutcome } from '../../../router/engine/addon.ts';

const folder = mkdtempSync(join(tmpdir(), 'weave-kernel-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const kernel = new Kernel();

test('an interface is found by its name', async (t) => {
  t.like(readLink(await kernel.run(undefined, [findLink('lo')])), { index: 1 });
});

test('of several names those that are there are found, which is no failure', async (t) => {
  const found = readLinks(await kernel.run(undefined, ['wt-none', 'lo', 'wt-none2'].map(lookForLink)));
  t.deepEqual([...found], [['lo', { index: 1, kind: undefined, master: undefined }]]);
});

test('what fails is told with the step, the interface, and what the kernel says; steps after it are not done', async (t) => {
  const path = join(folder, 'untouched');
  writeFileSync(path, '');
  const steps = [findLink('lo'), findLink('wt-none'), setting(path, '1')];
  const error = await t.throwsAsync(kernel.run(undefined, steps), { instanceOf: KernelError });
  t.like(error, {
    message: 'cannot find the interface wt-none: No such device (ENODEV)',
    code: 'ENODEV',
    step: 1,
  });
  t.is(readFileSync(path, 'utf8'), '');
});

test('what is so already is no failure where the step says so', async (t) => {
  const path = join(folder, 'setting');
  writeFileSync(path, '');
  const tolerant = { ...findLink('wt-none'), tolerated: 19 };
  await kernel.run(undefined, [tolerant, setting(join(folder, 'none'), '1'), setting(path, '7')]);
  t.is(readFileSync(path, 'utf8'), '7');
  await t.throwsAsync(kernel.run(undefined, [{ ...tolerant, tolerated: 1 }]), { instanceOf: KernelError });
});

test('the sentence that the kernel adds to an errno is passed on', async (t) => {
  const addon = {
    networkNamespace: () => undefined,
    kernelRun: () =>
      Promise.resolve(
        outcome({ code: 'EINVAL', reason: 'Invalid argument', said: 'Nexthop has invalid gateway' }),
      ),
  };
  await t.throwsAsync(new Kernel(addon).run(undefined, [findLink('eth0')]), {
    message: 'cannot find the interface eth0: Invalid argument (EINVAL: Nexthop has invalid gateway)',
  });
});

test('a namespace that is not there cannot be entered, however soon that is found out', async (t) => {
  // Each on a thread of its own, which may be done before the one that began it goes on.
  const runs = Array.from({ length: 1_000 }, () => kernel.run('/nowhere/net', [findLink('lo')]));
  for (const outcome of await Promise.allSettled(runs)) {
    if (outcome.status === 'fulfilled') return t.fail('it is told to have succeeded');
    const error = outcome.reason as KernelError;
    t.is(
      error.message,
      'cannot enter the network namespace /nowhere/net: No such file or directory (ENOENT)',
    );
    t.true(error.step > 0);
  }
});

test('steps that are cut short or lie about their length are refused', async (t) => {
  const whole = Buffer.concat([u32(0), u32(0), u32(16), Buffer.alloc(16)]);
  const cases = [
    whole.subarray(0, 11),
    whole.subarray(0, 27),
    // A message that is longer than its step, and one that is shorter than a header.
    Buffer.concat([u32(0), u32(0), u32(16), u32(4_000), Buffer.alloc(12)]),
    Buffer.concat([u32(0), u32(0), u32(16), u32(4), Buffer.alloc(12)]),
    // A file without a zero byte after its path.
    Buffer.concat([u32(0xffff_ffff), u32(0), u32(4), Buffer.from('/etc')]),
  ];
  for (const [i, bytes] of cases.entries()) {
    t.is((await loadAddon().kernelRun(undefined, new Uint8Array(bytes))).code, 'EINVAL', String(i));
  }
  t.is((await loadAddon().kernelRun(undefined, new Uint8Array(whole))).code, 'EINVAL');
  const unknown = Buffer.concat([u32(77), u32(0), u32(0)]);
  t.is((await loadAddon().kernelRun(undefined, new Uint8Array(unknown))).code, 'EPROTONOSUPPORT');
  t.throws(() => loadAddon().kernelRun(undefined, 'x' as never));
  t.throws(() => loadAddon().kernelRun('a\0b', new Uint8Array(0)));
});

test('only a network namespace has a number, and asking does not wait', (t) => {
  const own = kernel.namespaceNumber('/proc/self/ns/net');
  t.is(own, BigInt(statSync('/proc/self/ns/net').ino));
  t.is(kernel.namespaceNumber(`/proc/${process.pid}/ns/net`), own);
  const fifo = join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  for (const path of ['/proc/self/ns/uts', '/dev/null', '/etc/hostname', '/', fifo, '/nowhere']) {
    t.is(kernel.namespaceNumber(path), undefined, path);
  }
});

test('two runs are under way at once and no more; one that fails makes room too', async (t) => {
  const ends: ((code: string) => void)[] = [];
  const addon = {
    networkNamespace: () => undefined,
    kernelRun: () => new Promise<KernelOutcome>((resolve) => ends.push((code) => resolve(outcome({ code })))),
  };
  const busy = new Kernel(addon);
  const step: KernelStep = { what: 'wait', kind: 'route', request: new Uint8Array(0) };
  const runs = Array.from({ length: 5 }, () => busy.run(undefined, [step]).catch(() => undefined));
  for (let ended = 0; ended < 5; ended++) {
    await new Promise((resolve) => setImmediate(resolve));
    t.is(ends.length, Math.min(5, ended + 2));
    ends[ended]!(ended % 2 === 0 ? 'EIO' : '');
  }
  await Promise.all(runs);
  void busy.run(undefined, [step]);
  t.is(ends.length, 6);
});

function outcome(more: Partial<KernelOutcome>): KernelOutcome {
  return { code: '', reason: '', said: '', step: 0, replies: new Uint8Array(0), ...more };
}
