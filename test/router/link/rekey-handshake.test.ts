import test from 'ava';
import { Counters } from '../../../core/counters.ts';
import { SeededRandom } from '../../../core/random.ts';
import { RekeyHandshakes } from '../../../router/link/rekey-handshake.ts';
import type { RekeyDrop } from '../../../router/link/rekey-handshake.ts';
import type { ToData } from '../../../router/node-messages.ts';
import { fakePrimitives } from '../../sim/fake-primitives.ts';
import { nameOf } from './routes-of.ts';

const INITIATOR = nameOf(1);
const RESPONDER = nameOf(2);
const keys = [1, 2].map((fill) => fakePrimitives.keyPairFromSeed(new Uint8Array(32).fill(fill)));

type RekeyMessage = Extract<ToData, { type: 'rekey-message' }>;
type RekeyKeys = Extract<ToData, { type: 'rekey-keys' }>;

class End {
  readonly counters = new Counters<RekeyDrop>();
  readonly rekeys: RekeyHandshakes;
  readonly peer;

  constructor(number: 0 | 1) {
    const random = new SeededRandom(number + 1);
    const staticKey = keys[number]!;
    this.rekeys = new RekeyHandshakes({
      staticKey,
      primitives: fakePrimitives,
      random,
      counters: this.counters,
    });
    this.peer = number === 0 ? RESPONDER : INITIATOR;
    this.onSession(number === 0, keys[1 - number]!.public, 1);
    this.rekeys.onSessionLive(this.peer, 1);
  }

  onSession(initiator: boolean, remoteStatic: Uint8Array, id: number): void {
    const handshakeHash = new Uint8Array(64).fill(id);
    this.rekeys.onSession(this.peer, id, { initiator, lanes: 1, remoteStatic, handshakeHash });
  }

  take(): { messages: RekeyMessage[]; keys: RekeyKeys[] } {
    const effects = this.rekeys.drain();
    return {
      messages: effects.filter((effect) => effect.type === 'rekey-message'),
      keys: effects.filter((effect) => effect.type === 'rekey-keys'),
    };
  }

  /** Ids are alike at both ends here. */
  receive({ session, phase, step, bytes }: RekeyMessage): void {
    this.rekeys.onReceived(this.peer, session, phase, step, bytes);
  }
}

function ends(): [End, End] {
  return [new End(0), new End(1)];
}

/** One rekey to `phase`; the keys that each end got. */
function rekey(initiator: End, responder: End, phase: number, session = 1): [RekeyKeys, RekeyKeys] {
  initiator.rekeys.onDue(RESPONDER, session, phase);
  responder.receive(initiator.take().messages[0]!);
  const answered = responder.take();
  initiator.receive(answered.messages[0]!);
  return [initiator.take().keys[0]!, answered.keys[0]!];
}

test('a rekey gives both ends the same new keys, time after time', (t) => {
  const [initiator, responder] = ends();
  const seen = new Set<string>();
  for (let i = 1; i <= 300; i++) {
    const [a, b] = rekey(initiator, responder, i & 255);
    t.deepEqual(a.keys.send, b.keys.receive);
    t.deepEqual(a.keys.receive, b.keys.send);
    t.is(a.phase, i & 255);
    t.deepEqual([a.initiator, b.initiator], [true, false]);
    seen.add(a.keys.send.join());
  }
  t.is(seen.size, 300);
});

test('step 1 stays the same until it is answered, and a repeated one gets the same step 2', (t) => {
  const [initiator, responder] = ends();
  initiator.rekeys.onDue(RESPONDER, 1, 1);
  initiator.rekeys.onDue(RESPONDER, 1, 1);
  const [first, second] = initiator.take().messages;
  t.deepEqual(first, second);
  responder.receive(first!);
  responder.receive(second!);
  const { messages, keys: given } = responder.take();
  t.is(given.length, 1, 'keys are handed over once');
  t.deepEqual(messages[0], messages[1]);
  initiator.receive(messages[0]!);
  initiator.receive(messages[1]!);
  t.is(initiator.take().keys.length, 1);
  t.is(initiator.counters.get('rekey-unexpected'), 1);
});

test('the responder hands over its keys before its answer leaves', (t) => {
  const [initiator, responder] = ends();
  initiator.rekeys.onDue(RESPONDER, 1, 1);
  responder.receive(initiator.take().messages[0]!);
  t.deepEqual(
    responder.rekeys.drain().map(({ type }) => type),
    ['rekey-keys', 'rekey-message'],
  );
});

test('only the initiator of the session begins: the responder asks it to', (t) => {
  const [initiator, responder] = ends();
  responder.rekeys.onDue(INITIATOR, 1, 1);
  const [ask] = responder.take().messages;
  t.is(ask?.step, 0);
  initiator.receive(ask!);
  t.is(initiator.take().messages[0]?.step, 1);
});

test('forged, misplaced and unexpected messages are counted and change nothing', (t) => {
  const [initiator, responder] = ends();
  const junk = new Uint8Array(120).fill(7);
  const tried: [End, number, number, RekeyDrop][] = [
    [responder, 1, 1, 'rekey-undecipherable'],
    [responder, 2, 1, 'rekey-unexpected'],
    [responder, 1, 2, 'rekey-unexpected'],
    [responder, 1, 0, 'rekey-unexpected'],
    [initiator, 1, 2, 'rekey-unexpected'],
    [initiator, 1, 1, 'rekey-unexpected'],
    [initiator, 3, 0, 'rekey-unexpected'],
    [initiator, 1, 9, 'rekey-unexpected'],
  ];
  for (const [end, phase, step, reason] of tried) {
    const before = end.counters.get(reason);
    end.rekeys.onReceived(end.peer, 1, phase, step, junk);
    t.is(end.counters.get(reason), before + 1, `phase ${phase}, step ${step}`);
  }
  initiator.rekeys.onDue(RESPONDER, 1, 1);
  initiator.receive({ type: 'rekey-message', peer: INITIATOR, session: 1, phase: 1, step: 2, bytes: junk });
  t.is(initiator.counters.get('rekey-undecipherable'), 1);
  const [a, b] = rekey(initiator, responder, 1);
  t.deepEqual(a.keys.send, b.keys.receive);
});

test('a handshake by another key than that of the session is refused', (t) => {
  const [initiator, responder] = ends();
  responder.onSession(false, new Uint8Array(32).fill(5), 2);
  responder.rekeys.onSessionLive(INITIATOR, 2);
  initiator.onSession(true, keys[1]!.public, 2);
  initiator.rekeys.onSessionLive(RESPONDER, 2);
  initiator.rekeys.onDue(RESPONDER, 2, 1);
  responder.receive(initiator.take().messages[0]!);
  t.is(responder.counters.get('rekey-wrong-key'), 1);
  t.deepEqual(responder.take().keys, []);
});

test('a new session counts from when it is in use, and then begins at phase 0', (t) => {
  const [initiator, responder] = ends();
  rekey(initiator, responder, 1);
  for (const end of [initiator, responder])
    end.onSession(end === initiator, keys[end === initiator ? 1 : 0]!.public, 2);
  rekey(initiator, responder, 2);
  for (const end of [initiator, responder]) end.rekeys.onSessionLive(end.peer, 2);
  const [a, b] = rekey(initiator, responder, 1, 2);
  t.deepEqual(a.keys.send, b.keys.receive);
  initiator.rekeys.onSessionLive(RESPONDER, 1);
  t.not(initiator.rekeys.nameOf(RESPONDER, 2), undefined);
});

test('a session that comes into use after a newer one was made is rekeyed, then the newer one is', (t) => {
  const [initiator, responder] = ends();
  for (const end of [initiator, responder])
    for (const id of [2, 3]) end.onSession(end === initiator, keys[end === initiator ? 1 : 0]!.public, id);
  for (const session of [2, 3]) {
    for (const end of [initiator, responder]) end.rekeys.onSessionLive(end.peer, session);
    const [a, b] = rekey(initiator, responder, 1, session);
    t.deepEqual(a.keys.send, b.keys.receive);
    t.deepEqual([a.session, b.session], [session, session]);
  }
  initiator.rekeys.onSessionLive(RESPONDER, 2);
  t.is(initiator.rekeys.nameOf(RESPONDER, 2), undefined, 'it had its turn');
});

test('of many sessions that never come into use only the newest are remembered', (t) => {
  const [initiator] = ends();
  for (let id = 2; id <= 100; id++) initiator.onSession(true, keys[1]!.public, id);
  const known = Array.from({ length: 100 }, (_, i) => i + 1).filter(
    (id) => initiator.rekeys.nameOf(RESPONDER, id) !== undefined,
  );
  t.deepEqual(known, [1, 97, 98, 99, 100]);
});

test('the session in use and the pending one are known by their names at both ends, a replaced one is not', (t) => {
  const [initiator, responder] = ends();
  const names = (end: End) => [1, 2].map((id) => end.rekeys.nameOf(end.peer, id));
  for (const end of [initiator, responder]) end.onSession(end === initiator, keys[0]!.public, 2);
  t.deepEqual(names(initiator), ['01'.repeat(8), '02'.repeat(8)]);
  t.deepEqual(names(responder), names(initiator));
  t.is(responder.rekeys.idOf(INITIATOR, '02'.repeat(8)), 2);
  rekey(initiator, responder, 1);
  t.is(responder.rekeys.idOf(INITIATOR, '01'.repeat(8)), 1, 'a rekey leaves the name as it is');
  responder.rekeys.onSessionLive(INITIATOR, 2);
  t.is(responder.rekeys.idOf(INITIATOR, '01'.repeat(8)), undefined);
});

test('what is for a session that was replaced is dropped', (t) => {
  const [initiator, responder] = ends();
  initiator.rekeys.onDue(RESPONDER, 1, 1);
  const [step1] = initiator.take().messages;
  responder.onSession(false, keys[0]!.public, 2);
  responder.rekeys.onSessionLive(INITIATOR, 2);
  responder.receive(step1!);
  responder.rekeys.onDue(INITIATOR, 1, 1);
  t.deepEqual(responder.take(), { messages: [], keys: [] });
  t.is(responder.counters.get('rekey-unexpected'), 2);
});

test('after a session was forgotten there is nothing to rekey', (t) => {
  const [initiator] = ends();
  initiator.rekeys.forget(RESPONDER);
  t.is(initiator.rekeys.nameOf(RESPONDER, 1), undefined);
  initiator.rekeys.onDue(RESPONDER, 1, 1);
  t.deepEqual(initiator.take().messages, []);
  t.is(initiator.counters.get('rekey-unexpected'), 1);
});
