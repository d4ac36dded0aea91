import test from 'ava';
import { setTimeout } from 'node:timers/promises';
import type { StoreChange, StorePort } from '../../core/store.ts';
import type { AddressArgument } from '../../plugin/host/address-argument.ts';
import type { Attachments, PodRequest } from '../../plugin/host/attachments.ts';
import { Kernel, KernelError } from '../../plugin/host/kernel.ts';
import type { KernelPort, KernelStep } from '../../plugin/host/kernel.ts';
import { hostInterfaceName } from '../../plugin/host/mac-address.ts';
import { cidr } from '../plugin/host/host-fakes.ts';
import { HostLab } from './host-lab.ts';

const ID = 'cni:mesh/pod/eth0';
const HOST_END = hostInterfaceName(ID);
const WANTED: AddressArgument[] = [
  { kind: 'claim', cidr: cidr('10.32.0.7/12') },
  { kind: 'claim', cidr: cidr('10.33.0.7/16') },
];

function podIn(target: string): PodRequest {
  const routes = ['10.200.0.0/16', '10.201.0.0/16'].map((text) => ({
    destination: cidr(text),
    via: cidr('10.32.0.9/12').ip,
  }));
  const pod = { id: ID, mtu: 1_300, hairpin: true, gateway: undefined, routes: () => routes };
  return { target, interface: 'eth0', wanted: WANTED, pod, signal: undefined };
}

/** What happens in order, kernel steps and commits alike; at a chosen one something goes wrong. */
class Course {
  readonly seen: string[] = [];
  /** So many things happen before it goes wrong. */
  left = Infinity;

  /** True if it goes wrong with this one. */
  isLast(what: string): boolean {
    this.seen.push(what);
    return this.left-- === 0;
  }
}

/** One step fails, and the kernel works again after it. */
class FailingKernel implements KernelPort {
  readonly #kernel = new Kernel();
  readonly #course: Course;

  constructor(course: Course) {
    this.#course = course;
  }

  async run(netns: string | undefined, steps: readonly KernelStep[]): Promise<Uint8Array> {
    const failing = steps.findIndex(({ what }) => this.#course.isLast(what));
    if (failing < 0) return this.#kernel.run(netns, steps);
    if (failing > 0) await this.#kernel.run(netns, steps.slice(0, failing));
    throw new KernelError(steps[failing]!.what, 'EIO', 'Input/output error (EIO)', failing);
  }

  namespaceNumber(path: string): bigint | undefined {
    return this.#kernel.namespaceNumber(path);
  }
}

const NEVER = new Promise<never>(() => undefined);

/** The process ends before one of the steps, or before a commit: nothing is done any more and nothing is answered. */
class DyingKernel implements KernelPort {
  readonly #kernel = new Kernel();
  readonly #course: Course;

  constructor(course: Course) {
    this.#course = course;
  }

  async run(netns: string | undefined, steps: readonly KernelStep[]): Promise<Uint8Array> {
    const last = steps.findIndex(({ what }) => this.#course.left < 0 || this.#course.isLast(what));
    if (last < 0) return this.#kernel.run(netns, steps);
    if (last > 0) await this.#kernel.run(netns, steps.slice(0, last));
    return NEVER;
  }

  namespaceNumber(path: string): bigint | undefined {
    return this.#kernel.namespaceNumber(path);
  }
}

function dyingStore(store: StorePort, course: Course): StorePort {
  const commit = (changes: readonly StoreChange[]): Promise<void> =>
    course.left < 0 || course.isLast('commit') ? NEVER : store.commit(changes);
  return { load: () => store.load(), commit, close: () => store.close() };
}

/** Of a pod: interfaces, guards, addresses and records. */
async function left(lab: HostLab, container: string): Promise<string[]> {
  const links = await lab.run(lab.name, 'ip', '-o', 'link', 'show', 'type', 'veth');
  const inner = await lab.run(container, 'ip', '-o', 'link', 'show', 'type', 'veth');
  const sets = await guardSets(lab);
  return [
    ...(links.match(/vethwe\w+/g) ?? []),
    ...(inner.match(/eth0/g) ?? []),
    ...(sets.match(/"vethwe\w+" *./g) ?? []),
    ...[...lab.addresses.held].filter(([, id]) => id === ID).map(([address]) => address),
    ...[...lab.store.values.keys()].filter((key) => key.includes(ID)),
  ];
}

/** What pods may send with; not what they have sent, which the kernel keeps in a set too. */
async function guardSets(lab: HostLab): Promise<string> {
  const sets = (await lab.run(lab.name, 'nft', 'list', 'sets')).split(/^\tset /m);
  return sets.filter((text) => !text.startsWith('storms ')).join('');
}

/** A host whose bridge has an address, so that a pod needs nothing beside its own. */
async function host(lab: HostLab, kernel: KernelPort): Promise<Attachments> {
  const network = lab.network({ kernel });
  await network.setUp();
  const attachments = lab.attachments(network);
  await attachments.expose(['10.32.0.9/12'], true);
  return attachments;
}

test('row 13: whichever request to the kernel fails, nothing is left of an ADD, and the next one works', async (t) => {
  const lab = await HostLab.start(t);
  const course = new Course();
  const attachments = await host(lab, new FailingKernel(course));
  const container = await lab.container();
  course.seen.length = 0;
  await attachments.attachPod(podIn(container));
  const whole = course.seen.splice(0);
  t.true((await left(lab, container)).length > 4);
  await attachments.removePod(ID);
  const steps = whole.slice(0, whole.findIndex((what) => what.startsWith('announce')) + 1);
  t.deepEqual(
    [...new Set(steps)],
    [
      `add the guard of the port ${HOST_END}`,
      'find the interface weave',
      `remove the interface ${HOST_END}`,
      `make the interface eth0 and its host end ${HOST_END}`,
      `write 0 to /proc/sys/net/ipv6/conf/${HOST_END}/accept_ra`,
      `keep the interface ${HOST_END} from giving itself addresses`,
      `set the hairpin mode of the port ${HOST_END}`,
      `set the interface ${HOST_END} up`,
      `find the interface ${HOST_END}`,
      'write 1 to /proc/sys/net/ipv4/conf/eth0/arp_notify',
      'write 1 to /proc/sys/net/ipv6/conf/eth0/ndisc_notify',
      'give the interface eth0 the address 10.32.0.7/12',
      'give the interface eth0 the address 10.33.0.7/16',
      'set the interface eth0 up',
      'set the route to 10.200.0.0/16 on the interface eth0',
      'set the route to 10.201.0.0/16 on the interface eth0',
      'announce the addresses of the interface eth0',
    ],
  );
  for (const [i, what] of steps.entries()) {
    course.left = i;
    await t.throwsAsync(attachments.attachPod(podIn(container)), {
      instanceOf: KernelError,
      message: `cannot ${what}: Input/output error (EIO)`,
    });
    t.deepEqual(await left(lab, container), [], what);
  }
  course.left = Infinity;
  await attachments.attachPod(podIn(container));
  t.true(await lab.pings(container, '10.32.0.9'));
});

test('a DEL that the kernel refuses is told, and done by the next one', async (t) => {
  const lab = await HostLab.start(t);
  const course = new Course();
  const attachments = await host(lab, new FailingKernel(course));
  const container = await lab.container();
  for (const [i, what] of ['remove the interface', 'delete the guard of the port'].entries()) {
    await attachments.attachPod(podIn(container));
    course.left = i;
    await t.throwsAsync(attachments.removePod(ID), {
      message: `cannot ${what} ${HOST_END}: Input/output error (EIO)`,
    });
    t.true(lab.held().includes('10.32.0.7/12'), 'the address is given back last');
    course.left = Infinity;
    await attachments.removePod(ID);
    t.deepEqual(await left(lab, container), []);
  }
});

for (const [command, act] of [
  ['ADD', (attachments: Attachments, container: string) => attachments.attachPod(podIn(container))],
  ['DEL', (attachments: Attachments) => attachments.removePod(ID)],
] as const) {
  test(`wherever the daemon ends within ${command}, its next start repairs what is left`, async (t) => {
    const lab = await HostLab.start(t);
    const container = await lab.container();
    const kernel = new Kernel();
    const first = await host(lab, kernel);
    await first.attachPod(podIn(container));
    const everything = await left(lab, container);
    await first.removePod(ID);
    let whole = false;
    for (let happened = 0; !whole; happened++) {
      const course = new Course();
      const dying = lab.attachments(
        lab.network({ kernel: new DyingKernel(course) }),
        dyingStore(lab.store, course),
      );
      if (command === 'DEL') await dying.attachPod(podIn(container));
      course.left = happened;
      act(dying, container).then(
        () => (whole = true),
        () => undefined,
      );
      while (!whole && course.left >= 0) await setTimeout(2);
      // What was under way beside the step at which it ended ends by itself.
      if (!whole) await setTimeout(50);
      const network = lab.network({ kernel });
      const next = lab.attachments(network);
      await network.setUp(next.restored());
      await next.readopt();
      // What lost its interface is released half a minute later, as its container may only be restarting.
      lab.now += 31_000;
      await next.check();
      // Either nothing is left, or all of a pod that works: then ADD had come to its end, or DEL not to its beginning.
      const found = await left(lab, container);
      if (found.length > 0) {
        t.deepEqual(found, everything, `after ${course.seen.join(', ')}`);
        t.true(await lab.pings(container, '10.32.0.9'));
      }
      await next.removePod(ID);
      t.deepEqual(await left(lab, container), []);
    }
  });
}

test('a guard that is set by itself is the one that all are set anew with', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const namespace = await network.open(await lab.container());
  const addresses = [cidr('10.32.0.7/12'), cidr('fd00:1:2::7/64')];
  const plan = {
    hostInterface: 'vethwe1',
    interface: 'eth0',
    mac: '02:11:22:33:44:05',
    mtu: 1_388,
    addresses,
  };
  await network.plug(
    { ...plan, routes: [], hostMac: '02:00:00:00:00:06', hairpin: false, guarded: true },
    namespace,
  );
  await namespace.close();
  const before = await guardSets(lab);
  for (const part of [
    '"vethwe1" }',
    '02:11:22:33:44:05',
    '10.32.0.7',
    'fe80::11:22ff:fe33:4405',
    'fd00:1:2::7',
  ]) {
    t.true(before.includes(part), before);
  }
  await lab.run(lab.name, 'nft', 'flush', 'ruleset');
  await network.repair();
  t.is(await guardSets(lab), before);
  await network.unplug('vethwe1');
  t.false((await guardSets(lab)).includes('vethwe1"'));
});
