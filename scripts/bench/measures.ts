import type { Measure } from './measure.ts';
import { measureIdleRtt, measureLoadedRtt } from './rtt.ts';
import { measureEightStreams, measureOneStream } from './tcp.ts';
import { measureUdp, type UdpSize } from './udp.ts';

const ALWAYS = { host: Infinity, pod: Infinity };
/** What has no goal is taken once. */
const ONCE = { host: 1, pod: 1 };

/** In the order in which they are taken. */
export const MEASURES: readonly Measure[] = [
  {
    name: 'TCP, one stream',
    groups: ['tcp', 'cpu'],
    rounds: ALWAYS,
    quick: { host: true, pod: true },
    run: measureOneStream,
  },
  {
    name: 'TCP, eight streams',
    groups: ['tcp'],
    rounds: ONCE,
    quick: { host: false, pod: false },
    run: measureEightStreams,
  },
  {
    name: 'RTT idle',
    groups: ['rtt'],
    rounds: ALWAYS,
    quick: { host: true, pod: true },
    run: measureIdleRtt,
  },
  {
    name: 'RTT under load',
    groups: ['rtt'],
    rounds: ALWAYS,
    quick: { host: false, pod: true },
    run: measureLoadedRtt,
  },
  udp(64, { host: 1, pod: Infinity }, true),
  udp(512, ONCE, false),
  udp(1400, ONCE, false),
];

function udp(size: UdpSize, rounds: Measure['rounds'], quick: boolean): Measure {
  return {
    name: `UDP ${size}`,
    groups: ['udp'],
    rounds,
    quick: { host: false, pod: quick },
    run: (context) => measureUdp(context, size),
  };
}
