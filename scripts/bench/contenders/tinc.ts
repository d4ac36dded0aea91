import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { HOSTS, ip, type BenchLab, type HostNumber } from '../bench-lab.ts';
import type { Contender } from '../contender.ts';
import { bridgedPlaces } from '../places.ts';
import { must, run, until } from '../../run.ts';

/**
 * Of 1,472 bytes of UDP payload 4 are the authentication code; what is left holds 91 cipher blocks = 1,456 bytes, less
 * 1 of padding, 4 of sequence number and 14 of Ethernet.
 */
const MTU = 1437;

interface Tuning {
  readonly cipher: string;
  readonly digest: string;
}

/** Stream and counter modes are left out: tinc 1.0 draws no fresh nonce for a datagram, so they would protect nothing. */
const TUNINGS: readonly Tuning[] = [
  { cipher: 'aes-128-cbc', digest: 'sha1' },
  { cipher: 'aes-128-cbc', digest: 'sha256' },
  { cipher: 'aes-256-cbc', digest: 'sha256' },
];

export const tincVariants: readonly Contender[] = TUNINGS.map((tuning) => ({
  ...contender(tuning),
  name: `tinc/${tuning.cipher}/${tuning.digest}`,
  title: `tinc/${tuning.cipher}/${tuning.digest}`,
}));

/** The variant that measured best. */
export const tinc: Contender = contender(TUNINGS[0]!);

function contender(tuning: Tuning): Contender {
  return {
    name: 'tinc',
    title: 'tinc (switch mode)',
    configuration: `MTU ${MTU}, ${tuning.cipher} and ${tuning.digest} (4 bytes of it, the default), TAP in switch mode, ProcessPriority high, Compression 0, PMTUDiscovery off (the MTU is known), ReplayWindow 1024, 4 MiB socket buffers`,
    async start(lab) {
      for (const n of HOSTS) await writeConfiguration(lab, n, tuning);
      for (const n of HOSTS) {
        const other = n === 1 ? 2 : 1;
        await must(['cp', hostFile(lab, n), join(directory(lab, other), 'hosts', `host${n}`)]);
      }
      const pids = HOSTS.map((n) => startDaemon(lab, n));
      for (const n of HOSTS) await raiseDevice(lab, n);
      return { pids, place: bridgedPlaces(lab, 'tinc0', MTU) };
    },
  };
}

async function writeConfiguration(lab: BenchLab, number: HostNumber, tuning: Tuning): Promise<void> {
  const other = number === 1 ? 2 : 1;
  mkdirSync(join(directory(lab, number), 'hosts'), { recursive: true });
  lab.file(
    `tinc${number}/tinc.conf`,
    `Name = host${number}
Mode = switch
DeviceType = tap
Interface = tinc0
BindToAddress = ${lab.underlay(number)}
ConnectTo = host${other}
ProcessPriority = high
ReplayWindow = 1024
UDPRcvBuf = 4194304
UDPSndBuf = 4194304
`,
  );
  lab.file(
    `tinc${number}/hosts/host${number}`,
    `Address = ${lab.underlay(number)}
Cipher = ${tuning.cipher}
Digest = ${tuning.digest}
Compression = 0
PMTUDiscovery = no
ClampMSS = no
`,
  );
  // Appends the public key to the host's file; with closed input it takes the default file names.
  await must(['tincd', '-c', directory(lab, number), '-K2048'], { input: '\n\n' });
}

function startDaemon(lab: BenchLab, number: HostNumber): number {
  const dir = directory(lab, number);
  return lab.daemon(number, ['tincd', '-c', dir, '-D', `--pidfile=${join(dir, 'pid')}`]).pid;
}

async function raiseDevice(lab: BenchLab, number: HostNumber): Promise<void> {
  const show = ['ip', '-n', lab.host(number), 'link', 'show', 'tinc0'];
  await until(`tinc device of host ${number}`, 5_000, async () => (await run(show)).code === 0);
  await ip(lab.host(number), [`link set tinc0 mtu ${MTU} up`]);
}

function directory(lab: BenchLab, number: HostNumber): string {
  return join(lab.dir, `tinc${number}`);
}

function hostFile(lab: BenchLab, number: HostNumber): string {
  return join(directory(lab, number), 'hosts', `host${number}`);
}
