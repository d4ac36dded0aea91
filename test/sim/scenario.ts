import { randomBelow, randomFraction } from '../../core/random.ts';
import { SECOND } from '../../core/time.ts';
import type { Millis } from '../../core/time.ts';
import { missingLinks, unconverged } from './convergence.ts';
import type { NetworkTerms } from './network.ts';
import { SimMesh } from './sim-mesh.ts';
import type { SimNode } from './sim-node.ts';
import type { PlayedPrimitives } from '../router/crypto/played-primitives.ts';

const RANGE = '10.32.0.0/22';
const RANGE_ADDRESSES = 1_024;
/** From the later of healing and the last restart until the mesh is whole. */
const CONVERGES_WITHIN: Millis = 60 * SECOND;
const KNOWN_AT_START = 2;
const BOOT_SPREAD: Millis = SECOND;
const ALLOCATIONS = 20;
const BROADCASTS = 30;
const LAST_BROADCASTS = 3;
/** Pairs of nodes that send each other frames in the end, and what a link takes to come up for the first of them as a rule. */
const PAIRS = 4;
const LINK_TAKES: Millis = SECOND;
/** A donor that is silent, behind a connection that has not resumed yet, costs 2 s before another one is asked. */
const ANSWERED_WITHIN: Millis = 5 * SECOND;
/** Over several hops, duplicates included. */
const BROADCAST_TAKES: Millis = SECOND;
/** A connection that was cut off is found dead after 30 s. */
const CALM_WITHIN: Millis = 40 * SECOND;
const ROUGH: NetworkTerms = { loss: 0.05, duplication: 0.02, leastDelay: 1, mostDelay: 60 };

/** A run is a function of these alone. */
export interface ScenarioOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly primitives: PlayedPrimitives;
  /** True unless given: everybody connects to everybody. Else connections are those of the start, about two a node. */
  readonly discovery?: boolean;
  /** With more nodes than this, links are for neighbours and for whoever has frames to send. 80 unless given. */
  readonly fullMeshLimit?: number;
}

export interface ScenarioResult {
  /** Sentences; none if all that is promised was kept. */
  readonly faults: readonly string[];
  /** From the end of all trouble until the mesh was whole; undefined if it never was. */
  readonly convergedAfter: Millis | undefined;
}

/** What befalls the mesh, drawn from the seed. */
interface Trouble {
  readonly cutAt: Millis;
  readonly healAt: Millis;
  readonly crashes: readonly { readonly node: number; readonly at: Millis; readonly restartAt: Millis }[];
  /** When the last of it is over. */
  readonly overAt: Millis;
}

/**
 * One life of a mesh: all start within a second, the network loses, doubles, delays and reorders; it parts into two
 * halves and heals; nodes crash and come back with their stores; addresses are asked for and broadcasts sent throughout.
 * Then the mesh has to become whole, and every broadcast has to reach everyone once.
 */
export function runScenario(options: ScenarioOptions): ScenarioResult {
  const mesh = new SimMesh({ ...options, terms: ROUGH, range: RANGE });
  const trouble = drawTrouble(mesh);
  mesh.boot(KNOWN_AT_START, BOOT_SPREAD);
  schedule(mesh, trouble);
  mesh.clock.runUntil(trouble.overAt);
  let problems: string[] = [];
  const isWhole = () => (problems = unconverged(mesh, RANGE_ADDRESSES)).length === 0;
  const convergedAfter = mesh.clock.runWhileNot(isWhole, CONVERGES_WITHIN, SECOND);
  if (convergedAfter === undefined) mesh.faults.push(...problems);
  else judgeWholeMesh(mesh);
  return { faults: mesh.faults, convergedAfter };
}

function drawTrouble(mesh: SimMesh): Trouble {
  const between = (least: Millis, most: Millis) => least + randomFraction(mesh.random) * (most - least);
  const cutAt = between(0.5 * SECOND, 8 * SECOND);
  // Beyond 30 s connections end, beyond a minute peers are forgotten: that costs more to simulate.
  const isLong = randomBelow(mesh.random, 8) === 0;
  const healAt = cutAt + (isLong ? between(25 * SECOND, 75 * SECOND) : between(3 * SECOND, 10 * SECOND));
  const crashes = Array.from({ length: Math.max(0, randomBelow(mesh.random, 5) - 2) }, () => {
    const at = between(2 * SECOND, healAt);
    return {
      node: randomBelow(mesh.random, mesh.nodes.length),
      at,
      restartAt: at + between(SECOND, 10 * SECOND),
    };
  });
  const overAt = Math.max(healAt, ...crashes.map(({ restartAt }) => restartAt));
  return { cutAt, healAt, crashes, overAt };
}

function schedule(mesh: SimMesh, { cutAt, healAt, crashes, overAt }: Trouble): void {
  const { clock, random } = mesh;
  clock.at(cutAt, () => mesh.partition());
  clock.at(healAt, () => mesh.network.heal());
  for (const { node, at, restartAt } of crashes) {
    clock.at(at, () => mesh.crash(mesh.nodes[node]!));
    clock.at(restartAt, () => mesh.restart(mesh.nodes[node]!, KNOWN_AT_START));
  }
  const atAnyNode = (act: (node: SimMesh['nodes'][number]) => void) => {
    clock.at(BOOT_SPREAD + randomFraction(random) * (overAt - BOOT_SPREAD), () => {
      const node = mesh.nodes[randomBelow(random, mesh.nodes.length)]!;
      if (node.alive) act(node);
    });
  };
  for (let i = 0; i < ALLOCATIONS; i++) atAnyNode((node) => mesh.addresses.allocate(node));
  for (let i = 0; i < BROADCASTS; i++) atAnyNode((node) => mesh.broadcast(node));
}

/** On a network that loses nothing any more, broadcasts reach every other node, and all nodes get addresses. */
function judgeWholeMesh(mesh: SimMesh): void {
  const { addresses, clock, living, network } = mesh;
  network.terms = { ...ROUGH, loss: 0 };
  clock.runFor(ROUGH.mostDelay);
  const refusals = addresses.refusals.length;
  for (const node of living) addresses.allocate(node);
  judgeBroadcasts(mesh);
  judgeRoutes(mesh);
  judgeUnicasts(mesh);
  clock.runWhileNot(() => addresses.open.length === 0, ANSWERED_WITHIN);
  mesh.faults.push(...addresses.refusals.slice(refusals));
  for (const id of addresses.open) mesh.faults.push(`${id} got no answer`);
  addresses.audit(living, (until) => clock.runWhileNot(until, ANSWERED_WITHIN));
}

/**
 * Where connections are still being re-made, views change and trees with them, and a link to where a new one leads takes
 * its time: what counts is what is sent in between.
 */
function judgeBroadcasts(mesh: SimMesh): void {
  const { clock, living } = mesh;
  const versions = () => living.map(({ routes }) => routes?.version).join();
  for (const until = clock.now + CALM_WITHIN; clock.now < until;) {
    const before = versions();
    const isLinked = missingLinks(mesh).length === 0;
    const senders = Array.from(
      { length: LAST_BROADCASTS },
      () => living[randomBelow(mesh.random, living.length)]!,
    );
    const numbers = senders.map((node) => mesh.broadcast(node));
    clock.runFor(BROADCAST_TAKES);
    if (!isLinked || versions() !== before) continue;
    for (const number of numbers) {
      const missing = living.length - 1 - mesh.reached(number);
      if (missing > 0) mesh.faults.push(`broadcast ${number} did not reach ${missing} nodes`);
    }
    return;
  }
  mesh.faults.push(`no two views in a row are the same, with all their links, within ${CALM_WITHIN} ms`);
}

/** Messages of the control plane that go from hop to hop arrive: each node's next hop is followed from all to all. */
function judgeRoutes({ living, faults }: SimMesh): void {
  const byName = new Map<string, SimNode>(living.map((node) => [node.name, node]));
  for (const from of living) {
    for (const to of living) {
      let at: SimNode | undefined = from;
      for (let hops = 0; at !== to && at !== undefined && hops < living.length; hops++)
        at = byName.get(nextHopOf(at, to) ?? '');
      if (at !== to) faults.push(`routes from node ${from.number} do not lead to node ${to.number}`);
    }
  }
}

function nextHopOf({ routes }: SimNode, to: SimNode): string | undefined {
  const position = routes!.names.indexOf(to.name);
  return position < 0 ? undefined : routes!.names[routes!.nextHop[position]!];
}

/**
 * The first frame makes itself known, by a flood if need be; all that follow go from one to the other alone. Offers of
 * sessions pass control connections that may still be stalled, so a frame is sent again until one arrives.
 */
function judgeUnicasts(mesh: SimMesh): void {
  const { clock, living, random } = mesh;
  const pairs = Array.from({ length: PAIRS }, () => {
    const from = randomBelow(random, living.length);
    const to = (from + 1 + randomBelow(random, living.length - 1)) % living.length;
    return [living[from]!, living[to]!] as const;
  });
  for (const backwards of [false, true, false]) {
    let missing = pairs.map(([a, b]) => (backwards ? ([b, a] as const) : ([a, b] as const)));
    for (const until = clock.now + CALM_WITHIN; missing.length > 0 && clock.now < until;) {
      const sent = missing.map(([from, to]) => ({ from, to, number: mesh.unicast(from, to) }));
      clock.runFor(LINK_TAKES);
      missing = sent
        .filter(({ number, to }) => !mesh.reachedNode(number, to))
        .map(({ from, to }) => [from, to] as const);
    }
    for (const [from, to] of missing)
      mesh.faults.push(
        `no frame from node ${from.number} reached node ${to.number} within ${CALM_WITHIN} ms`,
      );
  }
}
