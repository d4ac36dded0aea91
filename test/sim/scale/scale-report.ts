/** What a run of a large mesh came to; all times in seconds of virtual time. */
export interface ScaleReport {
  readonly scenarios: readonly string[];
  readonly nodes: number;
  readonly seed: number;
  /** How many others each node was given. */
  readonly known: number;
  /** How long the trouble of each scenario lasted. */
  readonly hours: readonly number[];
  /** What took how long; null = longer than was waited for. */
  readonly times: Readonly<Record<string, number | null>>;
  /** By what went on. */
  readonly loads: Readonly<Record<string, Load>>;
  readonly state: StateSize;
  readonly backbone: Backbone;
  /** Sentences; none if all that is promised was kept. */
  readonly faults: readonly string[];
  readonly cpuSeconds: number;
  /** Of the whole process. */
  readonly heapMegabytes: number;
}

/** What one node sent, and cost, on average. */
export interface Load {
  readonly seconds: number;
  readonly gossipBytesPerSecond: number;
  readonly heartbeatBytesPerSecond: number;
  readonly messagesPerSecond: number;
  readonly datagramsPerSecond: number;
  readonly datagramBytesPerSecond: number;
  readonly cpuMicrosecondsPerSecond: number;
}

export interface StateSize {
  readonly bytes: number;
  readonly bytesPerPeer: number;
  /** Memory of this process by node. */
  readonly heapKilobytesPerNode: number;
}

export interface Backbone {
  readonly leastDegree: number;
  readonly meanDegree: number;
  readonly mostDegree: number;
  readonly diameter: number;
}

export function formatReport(report: ScaleReport): string {
  const { scenarios, nodes, seed, known, hours, times, loads, state, backbone, faults } = report;
  const what = scenarios.map((name, i) => `${name} ${hours[i]} h`).join(', ');
  const head = `${what}: ${nodes} nodes, seed ${seed}, each given ${known} others`;
  const lines = [
    ...Object.entries(times).map(([what, s]) => row(what, s === null ? 'never' : `${s.toFixed(1)} s`)),
    ...Object.entries(loads).flatMap(([what, load]) => formatLoad(what, load)),
    row('topology state', `${state.bytes} bytes, ${state.bytesPerPeer.toFixed(0)} for each peer`),
    row('heap', `${state.heapKilobytesPerNode.toFixed(0)} kB for each node`),
    row(
      'backbone',
      `degree ${backbone.leastDegree} to ${backbone.mostDegree}, ${backbone.meanDegree.toFixed(1)} on average; diameter ${backbone.diameter}`,
    ),
    row('cost of the run', `${report.cpuSeconds.toFixed(0)} s of CPU, heap ${report.heapMegabytes} MB`),
    ...faults.map((fault) => `  FAULT ${fault}`),
  ];
  return [head, ...lines, ''].join('\n');
}

function formatLoad(what: string, load: Load): string[] {
  const perSecond = (value: number, unit: string) => `${value.toFixed(value < 10 ? 1 : 0)} ${unit}/s`;
  return [
    row(
      `${what} (${load.seconds.toFixed(0)} s), each node`,
      perSecond(load.gossipBytesPerSecond, 'bytes of gossip'),
    ),
    row('', perSecond(load.heartbeatBytesPerSecond, 'bytes of heartbeats')),
    row('', perSecond(load.messagesPerSecond, 'messages')),
    row('', perSecond(load.datagramsPerSecond, 'datagrams')),
    row('', perSecond(load.datagramBytesPerSecond, 'bytes in datagrams')),
    row('', perSecond(load.cpuMicrosecondsPerSecond, 'us of CPU')),
  ];
}

function row(what: string, value: string): string {
  return `  ${what.padEnd(52)}${value}`;
}
