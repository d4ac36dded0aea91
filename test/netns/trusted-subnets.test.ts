import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Lab } from '../../scripts/lab.ts';
import { end, must, sleep, start, until } from '../../scripts/run.ts';

const MARKER = 'visible to whoever sits on the wire';
/** In hello and in the topology, of the first host. */
const CONTROL_MARKER = 'host1';
/** Hosts have addresses of both families, and a link takes the first path that answers. */
const ALL = '192.0.2.0/24,2001:db8::/64';

let labs = 0;

interface Wire {
  /** Datagrams that held the marker, and segments of control connections that held a nickname. */
  readonly data: number;
  readonly control: number;
  /** All datagrams and segments that were seen: silence would prove nothing. */
  readonly seen: number;
}

interface Case {
  readonly what: string;
  /** Trusted subnets of the two hosts. */
  readonly trusted: readonly [string | undefined, string | undefined];
  readonly engine: 'native' | 'portable';
  readonly password: boolean;
  readonly visible: { readonly data: boolean; readonly control: boolean };
  readonly status: boolean;
}

const SEALED = { data: false, control: false };
const CASES: readonly Case[] = [
  {
    what: 'both ends trust the underlay: frames are plain, control is not',
    trusted: [ALL, ALL],
    engine: 'native',
    password: true,
    visible: { data: true, control: false },
    status: false,
  },
  {
    what: 'both ends trust the underlay, with the portable engine',
    trusted: [ALL, ALL],
    engine: 'portable',
    password: true,
    visible: { data: true, control: false },
    status: false,
  },
  {
    what: 'only one end trusts the underlay: nothing is plain',
    trusted: [ALL, undefined],
    engine: 'native',
    password: true,
    visible: SEALED,
    status: true,
  },
  {
    what: 'one end trusts another subnet: nothing is plain',
    trusted: [ALL, '198.51.100.0/24'],
    engine: 'native',
    password: true,
    visible: SEALED,
    status: true,
  },
  {
    what: 'there is no password: all is plain, so that the search for markers is known to find them',
    trusted: [undefined, undefined],
    engine: 'native',
    password: false,
    visible: { data: true, control: true },
    status: false,
  },
];

/** Two hosts from their launch on, and what the wire between them shows. */
async function observe(
  t: ExecutionContext,
  { trusted, engine, password }: Case,
): Promise<{ lab: Lab; wire: Wire }> {
  const lab = await Lab.create(`wts${process.pid}x${labs++}`, 2);
  t.teardown(() => lab.remove());
  const capture = join(lab.dir, 'wire.pcap');
  const tcpdump = start([
    'ip',
    'netns',
    'exec',
    lab.underlay,
    'tcpdump',
    '-i',
    'br0',
    '-U',
    '-s',
    '0',
    '-w',
    capture,
    'port',
    '6783',
  ]);
  t.teardown(() => end(tcpdump));
  await until('tcpdump listens', 10_000, async () => (await must(['ls', lab.dir])).includes('wire.pcap'));
  for (const [i, host] of lab.hosts.entries()) {
    const subnets = trusted[i];
    await host.launch(
      [
        ...['--engine', engine],
        ...(subnets === undefined ? [] : ['--trusted-subnets', subnets]),
        ...lab.hosts.slice(0, i).map(({ address }) => address),
      ],
      password ? { env: { WEAVE_PASSWORD: 'documentation' } } : {},
    );
  }
  await lab.meshed();
  const [a, b] = [await lab.hosts[0]!.container('a'), await lab.hosts[1]!.container('b')];
  await a.reaches(b);
  for (let i = 0; i < 20; i++) {
    await a.must(['socat', '-u', 'STDIN', `UDP:${b.address}:5001`], { input: MARKER });
  }
  await sleep(1_000);
  await end(tcpdump);
  return { lab, wire: await read(capture) };
}

async function read(capture: string): Promise<Wire> {
  const count = async (protocol: string, text: string): Promise<number> => {
    const printed = await must(['tcpdump', '-r', capture, '-n', '-A', '-s', '0', protocol]);
    return printed.split(text).length - 1;
  };
  const seen = (await must(['tcpdump', '-r', capture, '-n'])).trim().split('\n').length;
  if (readFileSync(capture).length === 0) throw new Error('nothing was captured');
  return { data: await count('udp', MARKER), control: await count('tcp', CONTROL_MARKER), seen };
}

for (const each of CASES) {
  test(`on the wire, ${each.what}`, async (t) => {
    const { lab, wire } = await observe(t, each);
    t.true(wire.seen > 40);
    t.is(wire.data >= 20, each.visible.data, `${wire.data} frames in clear`);
    if (!each.visible.data) t.is(wire.data, 0);
    t.is(wire.control > 0, each.visible.control, `${wire.control} nicknames in clear`);
    for (const host of lab.hosts) {
      const [link] = (await host.status()).router.links;
      t.like(link, { state: 'up', path: 'direct', encrypted: each.status });
    }
  });
}
