import { HOSTS, ip, type BenchLab, type HostNumber } from '../bench-lab.ts';
import type { Contender } from '../contender.ts';
import { bridgedPlaces } from '../places.ts';
import { must, run, until } from '../../run.ts';

/** Outer IPv4 20, UDP 8, fastd's header and tag 24, Ethernet 14. */
const MTU = 1434;
const PORT = 10000;

/** Methods that encrypt and authenticate. */
const METHODS = ['salsa2012+umac', 'aes128-ctr+umac', 'aes128-gcm', 'salsa20+umac'];

export const fastdVariants: readonly Contender[] = METHODS.map((method) => ({
  ...contender(method),
  name: `fastd/${method}`,
  title: `fastd/${method}`,
}));

/** The method that measured best. */
export const fastd: Contender = contender(METHODS[0]!);

function contender(method: string): Contender {
  return {
    name: 'fastd',
    title: 'fastd (TAP mode)',
    configuration: `MTU ${MTU}, method ${method}, TAP mode, log level warn`,
    async start(lab) {
      const keys = await Promise.all(HOSTS.map(generateKey));
      const pids: number[] = [];
      for (const n of HOSTS) {
        const text = configuration(lab, n, method, keys[n - 1]!.secret, keys[2 - n]!.public);
        pids.push(lab.daemon(n, ['fastd', '--config', lab.file(`fastd${n}.conf`, text)]).pid);
        // Only then does the next one start: its first handshake is answered at once, the second comes after 20 s.
        const show = ['ip', '-n', lab.host(n), 'link', 'show', 'fd0'];
        await until(`fastd device of host ${n}`, 5_000, async () => (await run(show)).code === 0);
        await ip(lab.host(n), ['link set fd0 up']);
      }
      return { pids, place: bridgedPlaces(lab, 'fd0', MTU) };
    },
  };
}

async function generateKey(): Promise<{ secret: string; public: string }> {
  const text = await must(['fastd', '--generate-key']);
  const [secret, open] = ['Secret', 'Public'].map(
    (word) => new RegExp(`${word}: ([0-9a-f]{64})`).exec(text)?.[1],
  );
  if (secret === undefined || open === undefined) throw new Error(`fastd --generate-key printed: ${text}`);
  return { secret, public: open };
}

function configuration(
  lab: BenchLab,
  number: HostNumber,
  method: string,
  secret: string,
  peer: string,
): string {
  const other = number === 1 ? 2 : 1;
  return `
log level warn;
mode tap;
interface "fd0";
method "${method}";
mtu ${MTU};
bind ${lab.underlay(number)}:${PORT};
secret "${secret}";
peer "host${other}" {
  key "${peer}";
  remote ${lab.underlay(other)}:${PORT};
}
`;
}
