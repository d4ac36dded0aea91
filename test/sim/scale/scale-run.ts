import { cpuUsage, memoryUsage } from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { RoutesSnapshot } from '../../../core/routes.ts';
import { SECOND, type Millis } from '../../../core/time.ts';
import { ScaleMesh, type ScaleOptions } from './scale-mesh.ts';
import type { Backbone, Load, ScaleReport, StateSize } from './scale-report.ts';
import { trafficBetween } from './traffic-meter.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

export interface ScaleRunOptions extends ScaleOptions {
  readonly scenarios: readonly string[];
  /** How long the trouble of each scenario lasts. */
  readonly hours: readonly number[];
  /** Told what was measured as soon as it was: large meshes take hours. */
  readonly onProgress?: (line: string) => void;
}

/** A large mesh, and what is measured and found wrong while a scenario goes on. */
export class ScaleRun {
  readonly mesh: ScaleMesh;
  readonly faults: string[] = [];
  readonly #options: ScaleRunOptions;
  readonly #began = cpuUsage();
  #chapter = '';
  #played = 0;
  readonly #times: Record<string, number | null> = {};
  readonly #loads: Record<string, Load> = {};

  constructor(options: ScaleRunOptions) {
    this.#options = options;
    this.mesh = new ScaleMesh(options);
  }

  /** Plays scenario `i`. What is noted meanwhile bears its name, unless it is the first. */
  chapter(i: number, act: () => void): void {
    this.#chapter = i === 0 ? '' : `${this.#options.scenarios[i]}: `;
    act();
    this.#played = i + 1;
  }

  /** Notes how long something took; undefined, or more than `most`, is a fault. */
  time(about: string, took: Millis | undefined, most: Millis): void {
    const what = this.#chapter + about;
    this.#times[what] = took === undefined ? null : took / SECOND;
    this.#tell(`${what}: ${took === undefined ? 'never' : `${took / SECOND} s`}`);
    if (took === undefined) this.faults.push(`${what}: not in the time that was waited`);
    else if (took > most) this.faults.push(`${what}: ${took / SECOND} s, not within ${most / SECOND} s`);
  }

  /** Measures what one of `nodes` nodes (all that there are, unless given) sends and costs while `act` goes on. */
  load(about: string, act: () => void): Load {
    const what = this.#chapter + about;
    const { clock, meter, nodes } = this.mesh;
    const [began, before, cpu] = [clock.now, meter.total, cpuUsage()];
    act();
    const seconds = (clock.now - began) / SECOND;
    const sent = trafficBetween(before, meter.total);
    const { user, system } = cpuUsage(cpu);
    const each = (value: number) => value / nodes.length / seconds;
    const kilobytes = (sent.streamBytes - sent.heartbeatBytes) / nodes.length / 1e3;
    const cost = `${((user + system) / 1e6).toFixed(0)} s of CPU, ${kilobytes.toFixed(0)} kB of gossip a node`;
    this.#tell(`${what}: over after ${seconds.toFixed(1)} s, ${cost}`);
    return (this.#loads[what] = {
      seconds,
      gossipBytesPerSecond: each(sent.streamBytes - sent.heartbeatBytes),
      heartbeatBytesPerSecond: each(sent.heartbeatBytes),
      messagesPerSecond: each(sent.segments),
      datagramsPerSecond: each(sent.datagrams),
      datagramBytesPerSecond: each(sent.datagramBytes),
      cpuMicrosecondsPerSecond: each(user + system),
    });
  }

  /** Of the scenarios that were played to their end. */
  report(): ScaleReport {
    const { scenarios, seed, known, hours } = this.#options;
    const { nodes, living } = this.mesh;
    const state = this.#stateSize();
    const { user, system } = cpuUsage(this.#began);
    return {
      scenarios: scenarios.slice(0, this.#played),
      nodes: nodes.length,
      seed,
      known: Math.min(known, nodes.length - 1),
      hours: hours.slice(0, this.#played),
      times: this.#times,
      loads: this.#loads,
      state,
      backbone: backboneOf(living[0]!.routes!),
      faults: this.faults,
      cpuSeconds: (user + system) / 1e6,
      heapMegabytes: Math.round(memoryUsage().heapUsed / 1e6),
    };
  }

  #tell(what: string): void {
    const { user, system } = cpuUsage(this.#began);
    this.#options.onProgress?.(`${((user + system) / 1e6).toFixed(0)} s of CPU so far; ${what}`);
  }

  #stateSize(): StateSize {
    const { living, nodes } = this.mesh;
    const bytes = this.mesh.stateBytes(living[0]!);
    collectGarbage();
    const { heapUsed, external } = memoryUsage();
    const heapKilobytesPerNode = (heapUsed + external) / 1e3 / nodes.length;
    return { bytes, bytesPerPeer: bytes / living.length, heapKilobytesPerNode };
  }
}

function backboneOf({ adjacencyStart, adjacency, names }: RoutesSnapshot): Backbone {
  const degrees = names.map((_, i) => adjacencyStart[i + 1]! - adjacencyStart[i]!);
  return {
    leastDegree: Math.min(...degrees),
    meanDegree: adjacency.length / names.length,
    mostDegree: Math.max(...degrees),
    diameter: Math.max(...names.map((_, i) => eccentricity(i, { adjacencyStart, adjacency, names }))),
  };
}

/** Hops to the peer that is farthest from the one at `origin`. */
function eccentricity(
  origin: number,
  { adjacencyStart, adjacency, names }: Pick<RoutesSnapshot, 'adjacencyStart' | 'adjacency' | 'names'>,
): number {
  const hops = new Int32Array(names.length).fill(-1);
  hops[origin] = 0;
  const queue = [origin];
  for (const at of queue) {
    for (let edge = adjacencyStart[at]!; edge < adjacencyStart[at + 1]!; edge++) {
      const next = adjacency[edge]!;
      if (hops[next] !== -1) continue;
      hops[next] = hops[at]! + 1;
      queue.push(next);
    }
  }
  return hops[queue.at(-1)!]!;
}
