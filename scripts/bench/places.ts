import { HOSTS, inside, ip, type BenchLab, type HostNumber } from './bench-lab.ts';
import type { Ends, Place } from './contender.ts';
import { run, until } from '../run.ts';

/** Address of a host on a tunnel that carries IP packets only. */
export function routedAddress(number: HostNumber): string {
  return `198.51.100.${number}`;
}

/** Network of the pods behind a host whose tunnel carries IP packets only. */
export function podNetwork(number: HostNumber): string {
  return `10.32.${number}.0/24`;
}

const REACH_LIMIT = 30_000;

/**
 * Places of a tunnel that carries Ethernet frames. Hosts have their address on the device itself; for the pods the
 * device becomes a port of a bridge whose other port is the pod's veth.
 */
export function bridgedPlaces(lab: BenchLab, device: string, mtu: number): (place: Place) => Promise<Ends> {
  return async (place) => {
    if (place === 'host') {
      for (const n of HOSTS) await ip(lab.host(n), [`addr add 10.32.0.${n}/16 dev ${device}`]);
      return reached(lab, 'host', '10.32.0.2');
    }
    for (const n of HOSTS) {
      await ip(lab.host(n), [`addr flush dev ${device}`]);
      await makeBridge(lab, n, mtu);
      await ip(lab.host(n), [`link set ${device} master br0`]);
      await ip(lab.pod(n), [`addr add 10.32.0.1${n}/16 dev eth0`]);
    }
    return reached(lab, 'pod', '10.32.0.12');
  };
}

/**
 * Places of a tunnel that carries IP packets and has {@link routedAddress} already. Pods are behind the same kind of
 * bridge, which is their gateway; hosts forward. `routes` are set here unless the tunnel's daemon did so.
 */
export function routedPlaces(
  lab: BenchLab,
  device: (host: HostNumber) => string,
  mtu: number,
  routes: 'by the lab' | 'by the daemon',
): (place: Place) => Promise<Ends> {
  return async (place) => {
    if (place === 'host') return reached(lab, 'host', routedAddress(2));
    for (const n of HOSTS) {
      const other = n === 1 ? 2 : 1;
      await makeBridge(lab, n, mtu);
      await ip(lab.host(n), [`addr add 10.32.${n}.1/24 dev br0`]);
      if (routes === 'by the lab') await ip(lab.host(n), [`route add ${podNetwork(other)} dev ${device(n)}`]);
      await lab.must(n, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
      await ip(lab.pod(n), [`addr add 10.32.${n}.2/24 dev eth0`, `route add default via 10.32.${n}.1`]);
    }
    return reached(lab, 'pod', '10.32.2.2');
  };
}

/** Waits until `address` at the second end answers the first. */
export async function reached(lab: BenchLab, place: Place, address: string): Promise<Ends> {
  const [from, to] = place === 'host' ? [lab.host(1), lab.host(2)] : [lab.pod(1), lab.pod(2)];
  const ping = inside(from, ['ping', '-q', '-c', '1', '-W', '1', address]);
  try {
    await until(`ping ${from} -> ${address}`, REACH_LIMIT, async () => {
      lab.signal.throwIfAborted();
      return (await run(ping)).code === 0;
    });
  } catch (error) {
    throw new Error(`${String(error)}; daemons: ${lab.lastWords()}`, { cause: error });
  }
  return { from, to, address };
}

async function makeBridge(lab: BenchLab, number: HostNumber, mtu: number): Promise<void> {
  await ip(lab.host(number), [
    'link add br0 type bridge mcast_snooping 0',
    `link add pod0 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${lab.pod(number)}`,
    'link set pod0 master br0 up',
    `link set br0 mtu ${mtu} up`,
  ]);
  await ip(lab.pod(number), [`link set eth0 mtu ${mtu} up`]);
}
