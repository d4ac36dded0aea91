import { MINUTE, SECOND, type Millis } from '../../../core/time.ts';
import { randomBelow } from '../../../core/random.ts';
import type { NetworkTerms } from '../network.ts';
import type { SimNode } from '../sim-node.ts';
import type { ScaleMesh } from './scale-mesh.ts';
import type { ScaleRun } from './scale-run.ts';

const BOOT_SPREAD: Millis = SECOND;
const BOOT_WITHIN: Millis = 30 * SECOND;
const CHANGE_WITHIN: Millis = 2 * SECOND;
/** A crash is noticed after 30 s of silence, and passed on. */
const CRASH_WITHIN: Millis = 35 * SECOND;
const HEAL_WITHIN: Millis = 10 * SECOND;
/** Of the size of the state, that a node may send after healing. */
const HEAL_TRAFFIC = 3;
/** Gossip of one node in a mesh where nothing happens. */
const MOST_STEADY_BYTES = 250;
/** Of the encoded topology for each peer; in a full mesh of few, each lists all others. */
const MOST_STATE_BYTES = 200;
const MOST_STATE_BYTES_OF_FEW = 600;
const FEW = 100;
const WAIT_AT_MOST: Millis = 3 * MINUTE;
/** Edges that are not needed are shed one by one, links become direct, and that is told. */
const CALM_AFTER: Millis = 2 * MINUTE;
const SAMPLES = 5;

export interface ScaleScenario {
  readonly about: string;
  readonly terms: NetworkTerms;
  /** For all to see one another after they start at once. */
  readonly bootWithin: Millis;
  /** What happens after that, where `duration` is how long the trouble lasts. */
  play(run: ScaleRun, duration: Millis): void;
}

const GOOD: NetworkTerms = { loss: 0.001, duplication: 0, leastDelay: 1, mostDelay: 20 };
const SLOW: NetworkTerms = { loss: 0.01, duplication: 0.01, leastDelay: 150, mostDelay: 450 };

export const SCALE_SCENARIOS: Readonly<Record<string, ScaleScenario>> = {
  boot: {
    about: 'nothing happens after the start; then some leave, join and crash one by one',
    terms: GOOD,
    bootWithin: BOOT_WITHIN,
    play: (run, duration) => {
      steady(run, 'nothing happens', duration, true);
      single(run);
    },
  },
  'rolling-restart': {
    about: 'one after the other is stopped and started again',
    terms: GOOD,
    bootWithin: BOOT_WITHIN,
    play: (run, duration) => {
      run.load('restarts', () => rollingRestart(run.mesh, duration));
      run.time('one view after the last restart', run.mesh.untilOneView(WAIT_AT_MOST), HEAL_WITHIN);
    },
  },
  'third-vanishes': {
    about: 'a random third is cut off from power at once',
    terms: GOOD,
    bootWithin: BOOT_WITHIN,
    play: (run, duration) => {
      run.load('calm', () => run.mesh.clock.runFor(CALM_AFTER));
      run.load('a third is gone', () => vanish(run));
      steady(run, 'afterwards', duration, false);
    },
  },
  partition: {
    about: 'two halves are parted and joined again',
    terms: GOOD,
    bootWithin: BOOT_WITHIN,
    play: (run, duration) => {
      run.mesh.clock.runFor(CALM_AFTER);
      partition(run, duration);
    },
  },
  'slow-links': {
    about: 'every datagram and segment takes 150 to 450 ms, 1 % are lost',
    terms: SLOW,
    bootWithin: 2 * BOOT_WITHIN,
    play: (run, duration) => steady(run, 'nothing happens', duration, false),
  },
  flapping: {
    about: 'one node is cut off from power and started again every 20 s',
    terms: GOOD,
    bootWithin: BOOT_WITHIN,
    play: (run, duration) => {
      run.mesh.clock.runFor(CALM_AFTER);
      run.load('one node flaps', () => flap(run.mesh, duration));
      run.time('one view afterwards', run.mesh.untilOneView(WAIT_AT_MOST), CRASH_WITHIN);
    },
  },
  churn: {
    about: '1 % of the nodes crash each minute, and as many start again',
    terms: GOOD,
    bootWithin: BOOT_WITHIN,
    play: (run, duration) => {
      run.mesh.clock.runFor(CALM_AFTER);
      run.load('churn', () => churn(run.mesh, duration));
      run.time('one view afterwards', run.mesh.untilOneView(WAIT_AT_MOST), CRASH_WITHIN);
    },
  },
};

/**
 * Starts all at once and lets one scenario after the other happen to them, each once all run again that another left dead.
 * `onScenario` is called after each.
 */
export function play(
  run: ScaleRun,
  scenarios: readonly { readonly scenario: ScaleScenario; readonly duration: Millis }[],
  onScenario: () => void,
): void {
  boot(run, Math.max(...scenarios.map(({ scenario }) => scenario.bootWithin)));
  scenarios.forEach(({ scenario, duration }, i) => {
    run.chapter(i, () => {
      if (i > 0) revive(run);
      scenario.play(run, duration);
    });
    onScenario();
  });
}

function boot(run: ScaleRun, within: Millis): void {
  run.load('start', () => {
    run.mesh.boot(BOOT_SPREAD);
    run.mesh.clock.runFor(BOOT_SPREAD);
    const took = run.mesh.untilOneView(WAIT_AT_MOST);
    run.time('one view after the first start', took === undefined ? undefined : took + BOOT_SPREAD, within);
  });
}

function revive(run: ScaleRun): void {
  const { mesh } = run;
  for (const node of mesh.nodes) if (!node.alive) mesh.start(node);
  run.time('one view beforehand', mesh.untilOneView(WAIT_AT_MOST), BOOT_WITHIN);
}

/** `judged`: by what a mesh may send in which nothing happens. */
function steady(run: ScaleRun, what: string, duration: Millis, judged: boolean): void {
  run.mesh.clock.runFor(CALM_AFTER);
  const { gossipBytesPerSecond } = run.load(what, () => run.mesh.clock.runFor(duration));
  if (judged && gossipBytesPerSecond > MOST_STEADY_BYTES)
    run.faults.push(`${what}: ${gossipBytesPerSecond.toFixed(0)} bytes of gossip per node and second`);
  if (judged) judgeState(run);
}

function judgeState({ mesh, faults }: ScaleRun): void {
  const each = mesh.stateBytes(mesh.nodes[0]!) / mesh.nodes.length;
  const most = mesh.nodes.length < FEW ? MOST_STATE_BYTES_OF_FEW : MOST_STATE_BYTES;
  if (each > most) faults.push(`${each.toFixed(0)} bytes of topology for each peer, more than ${most}`);
}

/** Some nodes leave, join again, and crash, each after the one before it is known everywhere. */
function single(run: ScaleRun): void {
  const { mesh } = run;
  const slowest = { left: 0, joined: 0, crashed: 0 };
  const note = (what: keyof typeof slowest, took: Millis | undefined) => {
    slowest[what] = Math.max(slowest[what], took ?? WAIT_AT_MOST);
  };
  for (const node of mesh.draw(mesh.nodes, SAMPLES)) {
    mesh.leave(node);
    note('left', mesh.untilKnown(node, false, WAIT_AT_MOST));
    mesh.start(node);
    note('joined', mesh.untilKnown(node, true, WAIT_AT_MOST));
  }
  for (const node of mesh.draw(mesh.nodes, SAMPLES)) node.crash();
  note('crashed', mesh.untilOneView(WAIT_AT_MOST));
  run.time(`slowest of ${SAMPLES} leaves to be known to all`, slowest.left, CHANGE_WITHIN);
  run.time(`slowest of ${SAMPLES} joins to be known to all`, slowest.joined, CHANGE_WITHIN);
  run.time(`${SAMPLES} crashes to be known to all`, slowest.crashed, CRASH_WITHIN);
}

function rollingRestart(mesh: ScaleMesh, duration: Millis): void {
  const pause = duration / mesh.nodes.length;
  for (const node of mesh.nodes) {
    mesh.leave(node);
    mesh.clock.runFor(SECOND);
    mesh.start(node);
    mesh.clock.runFor(Math.max(0, pause - SECOND));
  }
}

function vanish(run: ScaleRun): void {
  const { mesh } = run;
  for (const node of mesh.draw(mesh.nodes, Math.floor(mesh.nodes.length / 3))) node.crash();
  const survivors = mesh.living;
  const missing = new Set<number>();
  const took = mesh.clock.runWhileNot(
    () => {
      for (const { routes, number } of survivors)
        if (routes!.names.length < survivors.length) missing.add(number);
      return mesh.hasOneView();
    },
    WAIT_AT_MOST,
    SECOND,
  );
  run.time('one view after a third vanished', took, 2 * CRASH_WITHIN);
  if (missing.size > 0) run.faults.push(`${missing.size} nodes lost sight of others that run`);
}

function partition(run: ScaleRun, duration: Millis): void {
  const { mesh } = run;
  const half = new Set(mesh.draw(mesh.nodes, Math.floor(mesh.nodes.length / 2)));
  for (const a of mesh.nodes) {
    for (const b of mesh.nodes) {
      if (half.has(a) !== half.has(b)) mesh.network.cut(a.endpoint.ip, b.endpoint.ip);
    }
  }
  run.load('parted', () => mesh.clock.runFor(duration));
  mesh.network.heal();
  let took: Millis | undefined;
  const load = run.load('healing', () => (took = mesh.untilOneView(WAIT_AT_MOST)));
  run.time('one view after healing', took, HEAL_WITHIN);
  const sent = load.gossipBytesPerSecond * load.seconds;
  const most = HEAL_TRAFFIC * mesh.stateBytes(mesh.nodes[0]!);
  if (sent > most)
    run.faults.push(`healing: ${sent.toFixed(0)} bytes of each node, more than ${most.toFixed(0)}`);
  // What it takes until the halves have grown together: new neighbours, and those shed for them.
  run.load('one mesh again', () => mesh.clock.runFor(CALM_AFTER));
}

function flap(mesh: ScaleMesh, duration: Millis): void {
  const node = mesh.nodes[0]!;
  for (const end = mesh.clock.now + duration; mesh.clock.now < end;) {
    mesh.clock.runFor(10 * SECOND);
    node.crash();
    mesh.clock.runFor(10 * SECOND);
    mesh.start(node);
  }
}

function churn(mesh: ScaleMesh, duration: Millis): void {
  const every = MINUTE / (mesh.nodes.length / 100);
  const down: SimNode[] = [];
  for (const end = mesh.clock.now + duration; mesh.clock.now < end;) {
    mesh.clock.runFor(every);
    const { living } = mesh;
    const victim = living[randomBelow(mesh.random, living.length)]!;
    victim.crash();
    down.push(victim);
    if (down.length > 1) mesh.start(down.shift()!);
  }
  for (const node of down) mesh.start(node);
}
