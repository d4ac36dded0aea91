import { HOSTS, ip, type BenchLab, type HostNumber } from '../bench-lab.ts';
import type { Contender } from '../contender.ts';
import { podNetwork, routedAddress, routedPlaces } from '../places.ts';
import { must, run, until } from '../../run.ts';

/** Outer IPv4 20, UDP 8, WireGuard 32; a multiple of 16, so that nothing is padded. */
const MTU = 1440;
const PORT = 51820;

export const wireguardGo: Contender = {
  name: 'wireguard-go',
  title: 'wireguard-go',
  configuration: `MTU ${MTU}, ChaCha20-Poly1305 (it has no other), log level error, Go's default of a thread per core`,
  async start(lab) {
    const secrets = await Promise.all(HOSTS.map(async () => (await must(['wg', 'genkey'])).trim()));
    const publics = await Promise.all(
      secrets.map(async (input) => (await must(['wg', 'pubkey'], { input })).trim()),
    );
    const pids: number[] = [];
    for (const n of HOSTS) {
      pids.push(await startDevice(lab, n));
      await configure(lab, n, secrets[n - 1]!, publics[2 - n]!);
    }
    return { pids, place: routedPlaces(lab, (n) => device(lab, n), MTU, 'by the lab') };
  },
};

async function startDevice(lab: BenchLab, number: HostNumber): Promise<number> {
  const name = device(lab, number);
  const env = { WG_PROCESS_FOREGROUND: '1', LOG_LEVEL: 'error' };
  const { pid } = lab.daemon(number, ['wireguard-go', name], { env });
  await until(`wireguard-go ${name}`, 5_000, async () => (await run(['wg', 'show', name])).code === 0);
  return pid;
}

async function configure(lab: BenchLab, number: HostNumber, secret: string, peer: string): Promise<void> {
  const other = number === 1 ? 2 : 1;
  const file = lab.file(
    `wg${number}.conf`,
    `[Interface]
PrivateKey = ${secret}
ListenPort = ${PORT}
[Peer]
PublicKey = ${peer}
AllowedIPs = ${routedAddress(other)}/32, ${podNetwork(other)}
Endpoint = ${lab.underlay(other)}:${PORT}
`,
  );
  const name = device(lab, number);
  await lab.must(number, ['wg', 'setconf', name, file]);
  await ip(lab.host(number), [
    `addr add ${routedAddress(number)}/24 dev ${name}`,
    `link set ${name} mtu ${MTU} up`,
  ]);
}

/** Its control sockets share one directory of the machine, so the name must be unique there. */
function device(lab: BenchLab, number: HostNumber): string {
  return `${lab.prefix}w${number}`;
}
