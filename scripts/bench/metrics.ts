/** Every figure that is taken, with its unit and which direction is good. */
export const METRICS = {
  tcp1: metric('TCP, one stream', 'Gbit/s', 'higher', 2),
  tcp8: metric('TCP, eight streams', 'Gbit/s', 'higher', 2),
  udp64Lossless: metric('UDP 64 bytes, lossless', 'kpps', 'higher', 1),
  udp64Flood: metric('UDP 64 bytes, received at flood', 'kpps', 'higher', 1),
  udp64Offered: metric('UDP 64 bytes, offered at flood', 'kpps', 'neither', 1),
  udp512Lossless: metric('UDP 512 bytes, lossless', 'kpps', 'higher', 1),
  udp512Flood: metric('UDP 512 bytes, received at flood', 'kpps', 'higher', 1),
  udp512Offered: metric('UDP 512 bytes, offered at flood', 'kpps', 'neither', 1),
  udp1400Lossless: metric('UDP 1400 bytes, lossless', 'kpps', 'higher', 1),
  udp1400Flood: metric('UDP 1400 bytes, received at flood', 'kpps', 'higher', 1),
  udp1400Offered: metric('UDP 1400 bytes, offered at flood', 'kpps', 'neither', 1),
  rttIdleP50: metric('RTT idle, p50', 'us', 'lower', 0),
  rttIdleP99: metric('RTT idle, p99', 'us', 'lower', 0),
  rttIdleLost: metric('RTT idle, probes lost', '%', 'lower', 2),
  rttLoadP50: metric('RTT under a TCP stream, p50', 'us', 'lower', 0),
  rttLoadP99: metric('RTT under a TCP stream, p99', 'us', 'lower', 0),
  rttLoadLost: metric('RTT under a TCP stream, probes lost', '%', 'lower', 2),
  cpuSystem: metric('CPU of the whole machine', 's/GB', 'lower', 2),
  cpuProcesses: metric("CPU of the tunnel's processes", 's/GB', 'lower', 2),
} as const;

export interface Metric {
  readonly title: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower' | 'neither';
  /** Digits after the point in tables. */
  readonly digits: number;
}

export type MetricName = keyof typeof METRICS;
export type Figures = Readonly<Partial<Record<MetricName, number>>>;

function metric(title: string, unit: string, better: Metric['better'], digits: number): Metric {
  return { title, unit, better, digits };
}
