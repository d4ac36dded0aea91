import test from 'ava';
import type { LinkContext, LinkEffect } from '../../../router/link/context.ts';
import { SessionKeys } from '../../../router/link/session-keys.ts';
import type { SessionMaterial, ToControl } from '../../../router/node-messages.ts';
import { LinkNet, type Side } from './link-net.ts';

const SECOND = 1000;

/** Plays the ControlNodes: every handshake message is its step number. */
function playHandshake(net: LinkNet): (side: Side, message: ToControl) => void {
  const keys = () => ({ send: new Uint8Array(32), receive: new Uint8Array(32) });
  return (side, message) => {
    if (message.type !== 'rekey-due' && message.type !== 'rekey-received') return;
    const { link } = side;
    const { peer, session, phase } = message;
    if (message.type === 'rekey-due') {
      const bytes = Uint8Array.of(1);
      link.onRekeyMessage({ type: 'rekey-message', peer, session, phase, step: 1, bytes }, net.now);
      return;
    }
    link.onRekeyKeys(
      { type: 'rekey-keys', peer, session, phase, initiator: message.step === 2, keys: keys() },
      net.now,
    );
    if (message.step === 2) return;
    const bytes = Uint8Array.of(2);
    link.onRekeyMessage({ type: 'rekey-message', peer, session, phase, step: 2, bytes }, net.now);
  };
}

function phases(side: Side): { held: number[]; sending: number | undefined } {
  const { phases: held, sending } = side.engine.sessions.get(1)!;
  return { held: [...held].sort(), sending };
}

test('after two minutes the initiator rekeys, and no frame is lost over it', (t) => {
  const net = new LinkNet();
  net.onControl = playHandshake(net);
  net.connect();
  const sent: number[] = [];
  net.run(SECOND);
  net.run(600 * SECOND, () => sent.push(net.sendFrame(net.a)!, net.sendFrame(net.b)!));
  net.run(SECOND);
  t.is(net.a.frames.length + net.b.frames.length, sent.length);
  t.is(net.a.told('rekey-due').length, 5);
  t.deepEqual(
    net.a.told('rekey-due').map(({ phase }) => phase),
    [1, 2, 3, 4, 5],
  );
  t.is(net.b.told('rekey-due').length, 0);
});

test('each end wipes the old key fifteen seconds after the first datagram on the new one', (t) => {
  const net = new LinkNet();
  net.onControl = playHandshake(net);
  net.connect();
  net.run(121 * SECOND);
  for (const side of [net.a, net.b]) t.deepEqual(phases(side), { held: [0, 1], sending: 1 });
  net.run(13 * SECOND);
  for (const side of [net.a, net.b]) t.deepEqual(phases(side).held, [0, 1]);
  net.run(3 * SECOND);
  for (const side of [net.a, net.b]) t.deepEqual(phases(side).held, [1]);
});

test('the responder keeps the old key for sending until the initiator has used the new one', (t) => {
  const net = new LinkNet();
  net.onControl = playHandshake(net);
  net.connect();
  net.run(120 * SECOND);
  // Step 2 and all else towards the initiator vanish: it cannot have the new key.
  net.passes = ({ from }) => from.ip !== net.b.address.ip;
  net.run(3 * SECOND);
  t.deepEqual(phases(net.b), { held: [0, 1], sending: 0 });
  t.deepEqual(phases(net.a), { held: [0], sending: 0 });
  net.passes = () => true;
  net.run(3 * SECOND);
  for (const side of [net.a, net.b]) t.deepEqual(phases(side), { held: [0, 1], sending: 1 });
  t.is(net.b.told('rekey-received').length, 1);
});

test('step 1 is resent unchanged every second ten times, then after a pause', (t) => {
  const net = new LinkNet();
  net.onControl = playHandshake(net);
  net.connect();
  net.run(119 * SECOND);
  net.passes = ({ from, size }) => from.ip !== net.a.address.ip || size > 60;
  net.run(60 * SECOND);
  const resent = net.a.sent
    .filter(({ message }) => message?.kind === 'rekey')
    .map(({ at }) => at / SECOND - 120);
  const tenth = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  t.deepEqual(resent, [...tenth, ...tenth.map((at) => at + 39)]);
});

test('the responder asks when the initiator does not begin', (t) => {
  const net = new LinkNet();
  let asks = 0;
  const play = playHandshake(net);
  net.onControl = (side, message) => {
    if (message.type === 'rekey-due' && asks++ === 0) return;
    play(side, message);
  };
  net.connect();
  net.run(149 * SECOND);
  t.deepEqual(phases(net.a).held, [0]);
  net.run(3 * SECOND);
  t.deepEqual(phases(net.a), { held: [0, 1], sending: 1 });
});

test('a request that the responder makes is repeated every second four times, then after a pause', (t) => {
  const net = new LinkNet();
  net.connect();
  net.run(10 * SECOND);
  net.input(() => net.b.link.onRekeyRequest(net.now));
  net.run(40 * SECOND);
  t.deepEqual(
    net.b.sent.filter(({ message }) => message?.kind === 'rekey').map(({ at }) => at / SECOND - 10),
    [0, 1, 2, 3, 33, 34, 35, 36],
  );
  net.onControl = playHandshake(net);
  net.run(30 * SECOND);
  t.is(phases(net.a).sending, 1, 'one of them is enough');
  t.is(net.b.sent.filter(({ message, at }) => message?.kind === 'rekey' && at > 60 * SECOND).length, 2);
});

test('the initiator heartbeats every half second until the peer uses the new key', (t) => {
  const net = new LinkNet();
  const play = playHandshake(net);
  net.onControl = play;
  net.connect();
  net.run(119.9 * SECOND);
  let rekeyed = false;
  net.onControl = (side, message) => {
    play(side, message);
    rekeyed ||= side === net.a && message.type === 'rekey-received';
  };
  net.passes = ({ from }) => !rekeyed || from.ip !== net.a.address.ip;
  net.run(2.2 * SECOND);
  const heartbeats = net.a.sent.filter(({ at, message }) => at > 120_050 && message?.kind === 'heartbeat');
  t.true(heartbeats.length >= 4);
});

function giveKeys(net: LinkNet, given: { session: number; phase: number }): void {
  const keys = { send: new Uint8Array(32), receive: new Uint8Array(32) };
  const { link } = net.a;
  const message = { type: 'rekey-keys', peer: link.peer, initiator: true, keys, ...given } as const;
  net.input(() => link.onRekeyKeys(message, net.now));
}

test('keys and messages for another session than the one in use are not taken', (t) => {
  const net = new LinkNet();
  net.connect();
  net.run(SECOND);
  const { link } = net.a;
  const bytes = Uint8Array.of(1);
  const sent = () => net.a.sent.filter(({ message }) => message?.kind === 'rekey').length;
  const ask = (session: number) => {
    const message = { type: 'rekey-message', peer: link.peer, session, phase: 1, step: 1, bytes } as const;
    net.input(() => link.onRekeyMessage(message, net.now));
  };
  ask(2);
  giveKeys(net, { session: 2, phase: 1 });
  t.deepEqual([sent(), phases(net.a).held], [0, [0]]);
  ask(1);
  giveKeys(net, { session: 1, phase: 1 });
  t.deepEqual([sent(), phases(net.a).held], [1, [0, 1]]);
});

test('of a flood of rekey messages few reach the ControlNode, and the rest is counted', (t) => {
  const net = new LinkNet();
  net.connect();
  net.run(SECOND);
  const flood = () => {
    for (let i = 0; i < 100; i++)
      net.sendMessage(net.a, { kind: 'rekey', phase: 1, step: 1, bytes: Uint8Array.of(i) });
    net.run(SECOND);
  };
  flood();
  t.is(net.b.told('rekey-received').length, 16);
  t.is(net.b.drops.filter((drop) => drop === 'rekey-unexpected').length, 84);
  flood();
  t.is(net.b.told('rekey-received').length, 24);
});

test('keys of any phase but the next are not taken', (t) => {
  const net = new LinkNet();
  net.connect();
  net.run(SECOND);
  for (const phase of [0, 2, 255]) {
    giveKeys(net, { session: 1, phase });
  }
  t.deepEqual(phases(net.a), { held: [0], sending: 0 });
});

test('either end gets new keys when it asks for them, and the report counts them', (t) => {
  const net = new LinkNet();
  net.onControl = playHandshake(net);
  net.connect();
  net.run(SECOND);
  for (const [round, side] of [net.a, net.b, net.a].entries()) {
    net.input(() => side.link.onRekeyRequest(net.now));
    net.run(SECOND);
    for (const end of [net.a, net.b]) {
      t.is(end.engine.sessions.get(1)!.sending, round + 1);
      t.is(end.link.report().rekeys, round + 1);
    }
  }
  net.run(100 * SECOND);
  t.is(net.a.link.report().rekeys, 3, 'the two minutes begin afresh');
});

test('new keys that are wanted before the last ones are proven come once those are', (t) => {
  const net = new LinkNet();
  net.onControl = playHandshake(net);
  net.connect();
  net.run(SECOND);
  net.input(() => net.a.link.onRekeyRequest(net.now));
  while (phases(net.a).sending !== 1) net.run(1);
  net.passes = ({ from }) => from.ip !== net.b.address.ip;
  net.input(() => net.a.link.onRekeyRequest(net.now));
  net.run(2 * SECOND);
  t.deepEqual(phases(net.a), { held: [0, 1], sending: 1 });
  net.passes = () => true;
  net.run(2 * SECOND);
  for (const side of [net.a, net.b]) t.is(phases(side).sending, 2);
});

test('however fast rekeys follow one another, no phase comes back while its old key is held', (t) => {
  const net = new LinkNet();
  net.onControl = playHandshake(net);
  net.connect();
  net.run(SECOND);
  let most = 0;
  net.run(60 * SECOND, () => {
    net.input(() => net.a.link.onRekeyRequest(net.now));
    for (const side of [net.a, net.b]) {
      net.sendFrame(side);
      most = Math.max(most, phases(side).held.length);
    }
  });
  const { rekeys } = net.a.link.report();
  t.true(rekeys > 300, `${rekeys} rekeys`);
  t.true(most > 60 && most < 70, `${most} keys held`);
  net.run(16 * SECOND);
  for (const side of [net.a, net.b]) t.is(phases(side).held.length, 1);
});

test('2^48 datagrams under one key are reason for another one, and are counted from there', (t) => {
  const asked: number[] = [];
  const context = {
    peer: 'p',
    emit: (effect: LinkEffect) => {
      if (effect.type === 'control' && effect.message.type === 'rekey-due') asked.push(effect.message.phase);
    },
  } as unknown as LinkContext;
  const material = { id: 1, initiator: true } as SessionMaterial;
  const keys = new SessionKeys(context, 1, material, () => undefined, 0);
  keys.onDatagrams(2 ** 48 - 1, 1);
  keys.onTimeout(1);
  t.deepEqual(asked, []);
  keys.onDatagrams(1, 2);
  t.is(keys.nextTimeout(), 2);
  keys.onTimeout(2);
  keys.onDatagrams(1, 3);
  keys.onTimeout(3);
  t.deepEqual(asked, [1], 'once');
  const fresh = { send: new Uint8Array(32), receive: new Uint8Array(32) };
  const message = {
    type: 'rekey-keys',
    peer: context.peer,
    session: 1,
    phase: 1,
    initiator: true,
    keys: fresh,
  } as const;
  t.true(keys.onKeys(message, 4));
  t.true(keys.onPhase(1, 5));
  keys.onDatagrams(2 ** 48 - 1, 6);
  keys.onTimeout(6);
  t.deepEqual(asked, [1]);
});

test('what is sent again because answers are slow is not counted', (t) => {
  const net = new LinkNet();
  net.onControl = playHandshake(net);
  net.connect();
  net.run(SECOND);
  net.delay = 1_300;
  net.input(() => net.b.link.onRekeyRequest(net.now));
  net.run(20 * SECOND);
  const steps = [net.a, net.b].map(({ sent }) =>
    sent.flatMap(({ message }) => (message?.kind === 'rekey' ? [message.step] : [])),
  );
  t.deepEqual(steps, [
    [1, 1, 1],
    [0, 0, 0, 2, 2, 2],
  ]);
  t.deepEqual([net.a.drops, net.b.drops], [[], []]);
  t.is(phases(net.b).sending, 1);
});

for (const initiator of [true, false]) {
  test(`what the ${initiator ? 'initiator' : 'responder'} expects of a rekey goes on, the rest is refused`, (t) => {
    const told: number[] = [];
    const emit = (effect: LinkEffect) => {
      if (effect.type === 'control' && effect.message.type === 'rekey-received')
        told.push(effect.message.step);
    };
    const context = { peer: 'p', emit } as unknown as LinkContext;
    const keys = new SessionKeys(context, 1, { id: 1, initiator } as SessionMaterial, () => undefined, 0);
    const bytes = new Uint8Array(0);
    const taken = (phase: number) =>
      [0, 1, 2].filter((step) => keys.onMessage({ kind: 'rekey', phase, step, bytes }, 0));
    for (const phase of [255, 2, 7]) t.deepEqual(taken(phase), [], `phase ${phase}`);
    t.deepEqual(taken(0), initiator ? [0, 2] : [], 'of the newest phase only what is sent again');
    t.deepEqual(told, []);
    t.deepEqual(taken(1), initiator ? [0, 1, 2] : [1, 2]);
    t.deepEqual(told, [1, 2], 'the ControlNode judges the step');
  });
}

test('a rekey message in another session than the one in use, or in one without keys, is refused', (t) => {
  const net = new LinkNet();
  net.connect();
  net.run(SECOND);
  const arrival = { session: 1, tag: 0, phase: 0, plain: false, wireLength: 60, source: () => net.b.address };
  const stepOne = { kind: 'rekey', phase: 1, step: 1, bytes: Uint8Array.of(1) } as const;
  t.is(net.b.link.onMessage(arrival, stepOne, net.now), undefined);
  net.connect();
  net.run(SECOND);
  t.true(net.b.engine.sessions.has(1), 'the one before is held for a while');
  t.is(net.b.link.onMessage(arrival, stepOne, net.now), 'rekey-unexpected');
  const plain = new LinkNet();
  plain.connect({ keys: undefined });
  plain.run(SECOND);
  t.is(plain.b.link.onMessage({ ...arrival, plain: true }, stepOne, plain.now), 'rekey-unexpected');
});

test('a session that gets no new key for an hour ends, and another is asked for', (t) => {
  const net = new LinkNet();
  net.connect();
  net.run(3599 * SECOND);
  t.is(net.a.link.state, 'up');
  net.run(2 * SECOND);
  t.is(net.a.link.state, 'offering');
  t.is(net.a.engine.sessions.size, 0);
  t.is(net.a.told('need-session').length, 1);
});
