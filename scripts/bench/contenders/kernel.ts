import { HOSTS, ip } from '../bench-lab.ts';
import type { Contender } from '../contender.ts';
import { bridgedPlaces } from '../places.ts';

/** The underlay itself: what no tunnel can exceed. */
export const bare: Contender = {
  name: 'bare',
  title: 'bare veth (no tunnel)',
  configuration: 'MTU 1500, offloads on; for pods the underlay device is itself a port of the bridge',
  start(lab) {
    return Promise.resolve({ pids: [], place: bridgedPlaces(lab, 'eth0', 1500) });
  },
};

/** Outer IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14. */
const VXLAN_MTU = 1450;

export const vxlan: Contender = {
  name: 'vxlan',
  title: 'kernel VXLAN (plain)',
  configuration: `MTU ${VXLAN_MTU}, fixed remote, offloads on (segmentation and GRO inside the kernel)`,
  async start(lab) {
    for (const n of HOSTS) {
      const other = n === 1 ? 2 : 1;
      await ip(lab.host(n), [
        `link add vx0 type vxlan id 42 local ${lab.underlay(n)} remote ${lab.underlay(other)} dstport 4789 dev eth0`,
        `link set vx0 mtu ${VXLAN_MTU} up`,
      ]);
    }
    return { pids: [], place: bridgedPlaces(lab, 'vx0', VXLAN_MTU) };
  },
};
