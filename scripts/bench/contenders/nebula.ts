import { join } from 'node:path';
import { HOSTS, type BenchLab, type HostNumber } from '../bench-lab.ts';
import type { Contender } from '../contender.ts';
import { podNetwork, routedAddress, routedPlaces } from '../places.ts';
import { must, until } from '../../run.ts';

/** Outer IPv4 20, UDP 8, nebula's header 16 and tag 16. */
const MTU = 1440;

interface Tuning {
  readonly cipher: 'aes' | 'chachapoly';
  /** Threads that read the TUN, and as many for the UDP socket. */
  readonly routines: number;
  /** Most datagrams per receive call. */
  readonly batch: number;
}

const TUNINGS: readonly Tuning[] = [
  { cipher: 'aes', routines: 1, batch: 64 },
  { cipher: 'chachapoly', routines: 1, batch: 64 },
  { cipher: 'aes', routines: 2, batch: 64 },
  { cipher: 'aes', routines: 1, batch: 256 },
];

export const nebulaVariants: readonly Contender[] = TUNINGS.map((tuning) => ({
  ...contender(tuning),
  name: `nebula/${tuning.cipher}/routines-${tuning.routines}/batch-${tuning.batch}`,
  title: `nebula/${tuning.cipher}/routines-${tuning.routines}/batch-${tuning.batch}`,
}));

/** The variant that measured best. */
export const nebula: Contender = contender(TUNINGS[0]!);

function contender(tuning: Tuning): Contender {
  return {
    name: 'nebula',
    title: 'nebula',
    configuration: `MTU ${MTU}, cipher ${tuning.cipher}, routines ${tuning.routines}, listen.batch ${tuning.batch}, 10 MiB socket buffers, tun.tx_queue 1000, firewall allows all; pods by unsafe_routes`,
    async start(lab) {
      const ca = join(lab.dir, 'ca');
      await must(['nebula-cert', 'ca', '-name', 'bench', '-out-crt', `${ca}.crt`, '-out-key', `${ca}.key`]);
      const pids: number[] = [];
      for (const n of HOSTS) {
        await signCertificate(lab, n, ca);
        const config = lab.file(`nebula${n}.yml`, configuration(lab, n, tuning));
        pids.push(lab.daemon(n, ['nebula', '-config', config]).pid);
      }
      await until('nebula devices', 10_000, async () => {
        const links = await Promise.all(HOSTS.map((n) => lab.must(n, ['ip', '-br', 'addr'])));
        return links.every((text, i) => text.includes(routedAddress(HOSTS[i]!)));
      });
      return { pids, place: routedPlaces(lab, () => 'neb0', MTU, 'by the daemon') };
    },
  };
}

async function signCertificate(lab: BenchLab, number: HostNumber, ca: string): Promise<void> {
  const path = join(lab.dir, `host${number}`);
  const identity = ['-name', `host${number}`, '-ip', `${routedAddress(number)}/24`];
  const authority = ['-ca-crt', `${ca}.crt`, '-ca-key', `${ca}.key`];
  const output = ['-out-crt', `${path}.crt`, '-out-key', `${path}.key`];
  await must(['nebula-cert', 'sign', ...identity, '-subnets', podNetwork(number), ...authority, ...output]);
}

function configuration(lab: BenchLab, number: HostNumber, tuning: Tuning): string {
  const other = number === 1 ? 2 : 1;
  return `
pki:
  ca: ${join(lab.dir, 'ca.crt')}
  cert: ${join(lab.dir, `host${number}.crt`)}
  key: ${join(lab.dir, `host${number}.key`)}
static_host_map:
  "${routedAddress(other)}": ["${lab.underlay(other)}:4242"]
lighthouse:
  am_lighthouse: false
listen:
  host: ${lab.underlay(number)}
  port: 4242
  batch: ${tuning.batch}
  read_buffer: 10485760
  write_buffer: 10485760
routines: ${tuning.routines}
cipher: ${tuning.cipher}
tun:
  dev: neb0
  mtu: ${MTU}
  tx_queue: 1000
  unsafe_routes:
    - route: ${podNetwork(other)}
      via: ${routedAddress(other)}
      mtu: ${MTU}
logging:
  level: error
firewall:
  outbound: [{ port: any, proto: any, host: any }]
  inbound: [{ port: any, proto: any, host: any }]
`;
}
