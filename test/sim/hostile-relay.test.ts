import test, { type ExecutionContext } from 'ava';
import { MINUTE, SECOND, type Millis } from '../../core/time.ts';
import type { Unicast } from '../../gossip/messages.ts';
import { EARLY_ATTACKS, LATE_ATTACKS, anotherKeyFor, type CountedAttack } from './hostile-attacks.ts';
import { HostileMesh } from './hostile-mesh.ts';

const ATTACK_LASTS: Millis = 40 * SECOND;
/** Of a frame every 100 ms while an attack lasts that is no more than a nuisance. */
const NEARLY_ALL = 390;
/** Offers are made afresh after 30 s at the latest, circuits sooner. */
const RECOVERS_WITHIN: Millis = 90 * SECOND;
/** Until the ends have a session and a circuit. */
const UP_WITHIN: Millis = 30 * SECOND;

/** The attack was met, and came to nothing; when it ends, the ends hear each other again. */
function judge(
  t: ExecutionContext,
  mesh: HostileMesh,
  { counted, deafens }: CountedAttack,
  before: number,
): void {
  const arrived = mesh.arrived.length - before;
  if (deafens) t.is(arrived, 0, 'nothing was delivered');
  else t.true(arrived >= NEARLY_ALL, `${arrived} frames arrived`);
  t.true(mesh.relay.touched > 0, 'the relay did what it could');
  if (counted !== undefined) t.true((mesh.drops()[counted] ?? 0) > 0, JSON.stringify(mesh.drops()));
  mesh.relay.attack = undefined;
  mesh.relay.injections.splice(0);
  t.not(mesh.timeToHear(RECOVERS_WITHIN), undefined, 'the ends hear each other again');
  t.like(mesh.link(1, 2), { state: 'up', path: 'relay', encrypted: true });
  t.is(mesh.link(1, 2)?.error, undefined);
  t.deepEqual(mesh.faults, []);
}

for (const attack of EARLY_ATTACKS) {
  test(`a relay that ${attack.what} reads and delivers nothing`, (t) => {
    const mesh = new HostileMesh(1);
    mesh.form(attack);
    mesh.talk(ATTACK_LASTS);
    judge(t, mesh, attack, 0);
  });
}

/** A mesh in which the two ends hear each other through the relay. */
function connected(t: ExecutionContext, count = 3): HostileMesh {
  const mesh = new HostileMesh(2, count);
  mesh.form();
  t.not(mesh.timeToHear(UP_WITHIN), undefined);
  return mesh;
}

for (const attack of LATE_ATTACKS) {
  test(`a relay that ${attack.what} reads nothing, and delivers nothing false`, (t) => {
    const mesh = connected(t);
    mesh.relay.attack = attack;
    // What is under way arrives yet.
    mesh.talk(SECOND);
    const before = mesh.arrived.length;
    mesh.talk(ATTACK_LASTS);
    judge(t, mesh, attack, before);
  });
}

const isHandshake = ({ kind }: Unicast): boolean => kind === 'offer' || kind === 'answer';

test('a relay that sends every offer and answer again, much later, disturbs nothing', (t) => {
  const mesh = connected(t);
  mesh.talk(MINUTE);
  const { relay } = mesh;
  const recorded = relay.carried.filter((unicast) => isHandshake(unicast) && unicast.from !== relay.name);
  t.true(recorded.length >= 2);
  relay.injections.push(...recorded, ...recorded.toReversed());
  const before = mesh.arrived.length;
  mesh.talk(2 * MINUTE);
  t.is(relay.injections.length, 0);
  t.true(mesh.arrived.length >= before + 1_195, `${mesh.arrived.length - before} of 1200`);
  t.true((mesh.drops()['offer-replayed'] ?? 0) > 0);
  t.true((mesh.drops()['answer-unexpected'] ?? 0) > 0);
  t.deepEqual(mesh.faults, []);
});

test('offers that a relay kept back and delivers when the ends have a session do not replace it', (t) => {
  const mesh = new HostileMesh(4);
  const kept: Unicast[] = [];
  mesh.form({
    what: 'keeps offers back',
    onUnicast: (unicast, { name }) => {
      if (unicast.kind !== 'offer' || unicast.from === name || unicast.to === name) return unicast;
      kept.push({ ...unicast, bytes: unicast.bytes.slice() });
      return undefined;
    },
  });
  mesh.talk(20 * SECOND);
  mesh.relay.attack = undefined;
  t.not(mesh.timeToHear(RECOVERS_WITHIN), undefined);
  mesh.relay.injections.push(...kept);
  const before = mesh.arrived.length;
  mesh.talk(2 * MINUTE);
  t.is(mesh.relay.injections.length, 0);
  t.true(kept.length > 2);
  t.true(mesh.arrived.length >= before + 1_195, `${mesh.arrived.length - before} of 1200`);
  t.deepEqual(mesh.faults, []);
});

for (const attack of EARLY_ATTACKS) {
  test(`past a relay that from the first ${attack.what}, the ends find another way`, (t) => {
    const mesh = new HostileMesh(3, 4);
    mesh.form(attack);
    t.not(mesh.timeToHear(RECOVERS_WITHIN), undefined);
    t.true(mesh.relay.touched > 0);
    t.deepEqual(mesh.faults, []);
  });
}

for (const attack of LATE_ATTACKS.filter(({ deafens }) => deafens)) {
  test(`past a relay that ${attack.what} and goes on with it, the ends find another way`, (t) => {
    const mesh = connected(t, 4);
    t.is(mesh.link(1, 2)?.via, mesh.relay.name);
    mesh.relay.attack = attack;
    mesh.talk(SECOND);
    t.not(mesh.timeToHear(RECOVERS_WITHIN), undefined);
    t.like(mesh.link(1, 2), { state: 'up', via: mesh.node(4).name });
    t.deepEqual(mesh.faults, []);
  });
}

test('a member that tells another key of a pinned peer costs it new sessions, is passed on, and is overtaken', (t) => {
  // Host 4 hears of host 1 only by what host 2 passes on.
  const mesh = new HostileMesh(5, 4, [
    [1, 2],
    [1, 4],
    [3, 4],
  ]);
  mesh.form();
  t.not(mesh.timeToHear(UP_WITHIN), undefined);
  mesh.clock.runFor(30 * SECOND);
  t.deepEqual(
    [2, 4].map((number) => mesh.link(number, 1)?.error),
    [undefined, undefined],
  );
  const error = `key of ${mesh.node(1).name} changed`;
  mesh.relay.attack = anotherKeyFor(mesh.node(1).name, new Uint8Array(32).fill(9));
  const before = mesh.arrived.length;
  mesh.disturb(1);
  const errors = () => [2, 4].map((number) => mesh.link(number, 1)?.error);
  t.deepEqual(errors(), [error, error]);
  t.true(mesh.relay.touched > 0);
  mesh.talk(10 * SECOND);
  t.true(mesh.arrived.length > before + 90, 'the session that there was serves on');
  mesh.relay.attack = undefined;
  mesh.disturb(1);
  t.deepEqual(errors(), [undefined, undefined], 'the peer itself has overtaken what was said of it');
  t.not(mesh.timeToHear(RECOVERS_WITHIN), undefined);
  t.deepEqual(mesh.faults, []);
});
