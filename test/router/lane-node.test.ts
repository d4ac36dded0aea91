import test from 'ava';
import { parseCidr, parseEndpoint } from '../../core/address.ts';
import { datagramIndex, datagramType, TYPE_PLAIN, TYPE_SEALED } from '../../router/wire/datagram.ts';
import { SendPlan, SOURCE_SCRATCH, type Engine, type FrameBatch } from '../../router/engine/port.ts';
import { MOST_LANES, laneSession } from '../../router/wire/lanes.ts';
import { DataNet, frameOf, macsOf, numberOf, type NetDatagram, type NetNode } from './data-net.ts';

/** Two hosts with so many workers, a session between them, and each other's MACs (1 here, 2 there) known. */
async function pair(
  workersA: number,
  workersB: number,
  change: Parameters<DataNet['connect']>[2] = {},
  net = new DataNet(),
) {
  const [a, b] = [await net.addNode({ workers: workersA }), await net.addNode({ workers: workersB })];
  const sent: { from: NetNode; lane: number; datagram: NetDatagram }[] = [];
  net.passes = (datagram) => {
    const from = datagram.from === a.address ? a : b;
    sent.push({ from, lane: datagramIndex(datagram.bytes) % MOST_LANES, datagram });
    return true;
  };
  net.announceRoutes();
  net.tell(a, { type: 'local-macs', macs: macsOf(1) });
  net.tell(b, { type: 'local-macs', macs: macsOf(2) });
  net.connect(a, b, change);
  net.run(5_000);
  return { net, a, b, sent };
}

/** The engine by which the kernel would hand over a flow of this number. */
function queueOf(node: NetNode, worker: number) {
  return worker === 0 ? node.engine : node.lanes[worker - 1]!.engine;
}

const numbers = (frames: readonly Uint8Array[]) => frames.map(numberOf);

for (const [workersA, workersB] of [
  [2, 2],
  [4, 4],
  [4, 1],
  [1, 4],
  [3, 2],
] as const) {
  test(`${workersA} and ${workersB} workers: each sends on its own lane, and all of it arrives in order`, async (t) => {
    const { net, a, b, sent } = await pair(workersA, workersB);
    for (const [from, to, workers] of [
      [a, b, workersA],
      [b, a, workersB],
    ] as const) {
      const [source, destination] = from === a ? [1, 2] : [2, 1];
      for (let worker = 0; worker < workers; worker++) {
        sent.length = 0;
        to.frames.length = 0;
        for (let n = 0; n < 20; n++) queueOf(from, worker).hostSends(frameOf(source, destination, n));
        net.settle();
        const lanes = sent.filter(({ from: sender }) => sender === from).map(({ lane }) => lane);
        t.deepEqual([...new Set(lanes)], [worker]);
        net.run(20);
        t.deepEqual(
          numbers(to.frames),
          Array.from({ length: 20 }, (_, n) => n),
        );
      }
    }
    t.deepEqual(net.report(a).drops, {});
    t.deepEqual(net.report(b).drops, {});
  });
}

test('a broadcast and a frame to an unknown MAC go by the first worker, and arrive once', async (t) => {
  const { net, a, b, sent } = await pair(4, 4);
  sent.length = 0;
  queueOf(a, 3).hostSends(frameOf(1, 0, 7));
  queueOf(a, 2).hostSends(frameOf(1, 9, 8));
  net.run(100);
  t.deepEqual(numbers(b.frames).sort(), [7, 8]);
  t.true(sent.every(({ lane }) => lane === 0));
  t.deepEqual(
    net.report(a).workers.map(({ detouredFrames }) => detouredFrames),
    [0, 0, 1, 1],
  );
});

test('what one worker learns all know: the answer to a stranger is not flooded', async (t) => {
  const { net, a, b, sent } = await pair(4, 4);
  queueOf(a, 2).hostSends(frameOf(7, 2, 1)); // MAC 7 is new to all
  net.run(100);
  for (const worker of [0, 1, 3]) {
    sent.length = 0;
    queueOf(b, worker).hostSends(frameOf(2, 7, 1));
    net.run(30);
    const [first] = sent.filter(({ from }) => from === b);
    t.is(first?.lane, worker);
  }
  t.is(net.report(b).macs, 3);
});

test('a MAC that moves between hosts is found by all workers', async (t) => {
  const { net, a, b } = await pair(2, 2);
  queueOf(a, 1).hostSends(frameOf(7, 2, 1));
  net.run(2_000);
  queueOf(b, 0).hostSends(frameOf(7, 1, 1));
  net.run(100);
  a.frames.length = b.frames.length = 0;
  queueOf(a, 1).hostSends(frameOf(1, 7, 5));
  net.run(100);
  t.deepEqual(numbers(b.frames), [5]);
  t.true(net.told(a, 'log').some(({ message }) => message === 'a MAC address moved'));
});

test('a broadcast that comes back over the host is dropped as a loop, whichever queue it comes out of', async (t) => {
  const { net, a, b } = await pair(2, 2);
  queueOf(b, 1).hostSends(frameOf(8, 0, 1));
  net.run(50);
  queueOf(a, 1).hostSends(a.frames.at(-1)!);
  net.run(50);
  t.is(net.report(a).drops['frame-looped'], 1);
  t.is(b.frames.length, 0);
});

test('frames to a peer behind a relay go by lane 0, from every queue', async (t) => {
  const net = new DataNet();
  const [a, relay, b] = [
    await net.addNode({ workers: 2 }),
    await net.addNode({ workers: 2 }),
    await net.addNode({ workers: 2 }),
  ];
  const direct = (d: NetDatagram) =>
    [a.address, b.address].includes(d.from) && [a.address, b.address].includes(d.to);
  net.passes = (datagram) => !direct(datagram);
  net.announceRoutes();
  net.tell(b, { type: 'local-macs', macs: macsOf(2) });
  for (const [x, y] of [
    [a, relay],
    [relay, b],
    [a, b],
  ] as const)
    net.connect(x, y);
  net.run(5_000);
  net.openCircuit(a, relay, b);
  net.run(5_000);
  const circuit = net.report(a).links.find(({ peer }) => peer === b.name);
  t.is(circuit?.path, 'relay');
  const lanes = new Set<number>();
  net.passes = (datagram) => {
    lanes.add(datagramIndex(datagram.bytes) % MOST_LANES);
    return !direct(datagram);
  };
  for (let n = 0; n < 10; n++) queueOf(a, 1).hostSends(frameOf(1, 2, n));
  net.run(100);
  t.deepEqual(numbers(b.frames), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  t.deepEqual([...lanes], [0]);
});

test('new keys come into use on all lanes without a lost frame, and the old ones go', async (t) => {
  const { net, a, b, sent } = await pair(4, 2);
  let n = 0;
  const send = () => {
    for (let worker = 0; worker < 4; worker++) queueOf(a, worker).hostSends(frameOf(1, 2, n++));
  };
  const [ab, ba] = [net.random.bytes(4 * 32), net.random.bytes(4 * 32)];
  const session = net.told(a, 'session-live')[0]!.id;
  for (const [node, peer, keys] of [
    [b, a, { send: ba.slice(), receive: ab.slice() }],
    [a, b, { send: ab.slice(), receive: ba.slice() }],
  ] as const)
    net.tell(node, {
      type: 'rekey-keys',
      peer: peer.name,
      session,
      phase: 1,
      initiator: node === a,
      keys,
    });
  const phases = () => {
    sent.length = 0;
    send();
    net.run(50);
    return sent.filter(({ from }) => from === a).map(({ lane, datagram }) => `${lane}: ${datagram.bytes[1]}`);
  };
  net.run(1_900, send, 10);
  // The other end's workers hear of new keys in their own time.
  t.deepEqual([...new Set(phases())].sort(), ['0: 1', '1: 0', '2: 0', '3: 0']);
  net.run(1_000, send, 10);
  t.deepEqual([...new Set(phases())].sort(), ['0: 1', '1: 1', '2: 1', '3: 1']);
  t.is(b.frames.length, n);
  net.run(20_000);
  t.deepEqual(net.report(b).drops, {});
});

test('a lane takes no key of another lane', async (t) => {
  const { net, a, b, sent } = await pair(2, 2);
  sent.length = 0;
  queueOf(a, 1).hostSends(frameOf(1, 2, 1));
  net.settle();
  const { bytes } = sent.find(({ lane }) => lane === 1)!.datagram;
  const misled = bytes.slice();
  misled[4]! -= 1; // the index of lane 0, the key of lane 1
  b.engine.deliver(a.address, misled);
  net.run(50);
  t.is(net.report(b).drops['tag-invalid'], 1);
  t.is(b.frames.length, 1);
});

test('a replayed datagram of a lane is dropped and counted', async (t) => {
  const { net, a, b, sent } = await pair(2, 2);
  queueOf(a, 1).hostSends(frameOf(1, 2, 1));
  net.run(50);
  b.lanes[0]!.engine.deliver(a.address, sent.findLast(({ lane }) => lane === 1)!.datagram.bytes);
  net.run(2_000);
  t.is(net.report(b).drops['counter-replayed'], 1);
});

test('without a password lanes go plain', async (t) => {
  const { net, a, b, sent } = await pair(2, 2, { keys: undefined });
  sent.length = 0;
  queueOf(a, 1).hostSends(frameOf(1, 2, 3));
  net.run(50);
  t.deepEqual(numbers(b.frames), [3]);
  t.is(datagramType(sent.find(({ lane }) => lane === 1)!.datagram.bytes), TYPE_PLAIN);
});

const TRUSTED = [parseCidr('192.0.2.0/24')!];

test('between trusted subnets lanes go plain, and a lane takes plain from there only', async (t) => {
  const net = new DataNet();
  const a = await net.addNode({ workers: 2, trusted: TRUSTED });
  const b = await net.addNode({ workers: 2, trusted: TRUSTED });
  let caught: NetDatagram | undefined;
  net.passes = (datagram) => {
    if (datagram.from === a.address && datagramIndex(datagram.bytes) % MOST_LANES === 1) caught = datagram;
    return true;
  };
  net.announceRoutes();
  net.tell(b, { type: 'local-macs', macs: macsOf(2) });
  net.connect(a, b, { remoteTrusted: TRUSTED });
  net.run(5_000);
  queueOf(a, 1).hostSends(frameOf(1, 2, 3));
  net.run(50);
  t.is(datagramType(caught!.bytes), TYPE_PLAIN);
  t.deepEqual(numbers(b.frames), [3]);
  const elsewhere = { ...a.address, port: 6783, ip: { ...a.address.ip, value: 0xcb007101n } };
  b.lanes[0]!.engine.deliver(elsewhere, caught!.bytes);
  net.run(2_000);
  t.is(b.frames.length, 1);
  t.is(net.report(b).drops['plain-unwelcome'], 1);
});

test('with a password lanes are sealed', async (t) => {
  const { net, a, sent } = await pair(2, 2);
  sent.length = 0;
  queueOf(a, 1).hostSends(frameOf(1, 2, 3));
  net.settle();
  t.is(datagramType(sent[0]!.datagram.bytes), TYPE_SEALED);
});

test('what lanes move counts for the link and for their worker', async (t) => {
  const { net, a, b } = await pair(2, 2);
  const before = net.report(a).links[0]!.sentBytes;
  for (let n = 0; n < 10; n++) queueOf(a, 1).hostSends(frameOf(1, 2, n));
  net.run(2_000);
  const bytes = 10 * (100 + 2 + 32);
  t.true(net.report(a).links[0]!.sentBytes >= before + bytes);
  t.is(net.report(a).workers[1]!.sentBytes, bytes);
  t.is(net.report(b).workers[1]!.receivedBytes, bytes);
});

test('a path that only lanes use is watched as closely as any: its loss is seen within 8 s', async (t) => {
  const { net, a } = await pair(2, 2);
  const send = () => queueOf(a, 1).hostSends(frameOf(1, 2, 1));
  net.run(20_000, send, 100);
  net.passes = () => false;
  net.run(8_000, send, 100);
  t.true(net.told(a, 'need-circuit').length > 0);
});

test('the size of a path limits lanes: a frame too long for it goes in fragments on its lane', async (t) => {
  const { net, a, b, sent } = await pair(2, 2);
  sent.length = 0;
  queueOf(a, 1).hostSends(frameOf(1, 2, 4, 3_000));
  net.run(50);
  t.deepEqual(numbers(b.frames), [4]);
  t.is(b.frames[0]!.length, 3_000);
  t.is(sent.filter(({ from, lane }) => from === a && lane === 1).length, 3);
});

for (const workers of [1, 2]) {
  test(`once a path is known to be narrower, no frame is sent as those before it: ${workers} workers`, async (t) => {
    const net = new DataNet();
    net.repeats = true;
    const { a, b } = await pair(workers, workers, {}, net);
    const queue = queueOf(a, workers - 1);
    queue.hostSends(frameOf(1, 2, 1));
    net.settle();
    net.hostLimit = 1_400;
    // The first goes as the one before it and makes the limit known.
    for (const number of [2, 3]) {
      queue.hostSends(frameOf(1, 2, number, 1_402));
      net.settle();
    }
    net.run(50);
    t.deepEqual(numbers(b.frames), [1, 3]);
  });
}

test('a session that is closed is gone from all lanes', async (t) => {
  const { net, a, b, sent } = await pair(2, 2);
  queueOf(a, 1).hostSends(frameOf(1, 2, 1));
  net.run(50);
  const { bytes } = sent.findLast(({ lane }) => lane === 1)!.datagram;
  net.tell(b, { type: 'session-closed', peer: a.name, notify: false });
  b.lanes[0]!.engine.deliver(a.address, bytes);
  net.run(2_000);
  t.is(net.report(b).drops['index-unknown'], 1);
  t.is(b.frames.length, 1);
});

test('a session that takes over brings its lanes with it', async (t) => {
  const { net, a, b } = await pair(2, 2);
  net.connect(a, b);
  net.run(60_000, () => queueOf(a, 1).hostSends(frameOf(1, 2, 1)), 500);
  t.is(b.frames.length, 120);
  t.deepEqual(net.report(a).drops, {});
  t.deepEqual(net.report(b).drops, {});
});

/** The engine of worker 1 seals anything that it is told to. */
function sendOnLane(node: NetNode, kind: number, payload: Uint8Array) {
  const plan = new SendPlan(1, 1_024);
  plan.count = 1;
  plan.source[0] = SOURCE_SCRATCH;
  plan.prefixes.set([kind, 0]);
  plan.prefixLength[0] = 2;
  plan.scratch.set(payload);
  plan.length[0] = payload.length;
  plan.session[0] = laneSession(1, 1);
  plan.path[0] = 1;
  node.lanes[0]!.engine.send(plan);
}

/** A broadcast of the first node, one that any other would take on lane 0. */
function broadcastPayload(sequence: number) {
  const payload = new Uint8Array(12 + 100);
  payload.set([0, 0, 0, 0, 0, 1, sequence, 0, 0, 0, 64, 1]);
  payload.set(frameOf(1, 0, sequence), 12);
  return payload;
}

/** All of an inner message in one fragment. */
function fragmentPayload(message: Uint8Array) {
  const payload = new Uint8Array(8 + message.length);
  const header = new DataView(payload.buffer);
  header.setUint32(0, 7, true);
  header.setUint16(6, message.length, true);
  payload.set(message, 8);
  return payload;
}

for (const workers of [1, 2]) {
  for (const [what, kind, payload] of [
    ['a heartbeat', 4, new Uint8Array(12)],
    ['a broadcast', 2, broadcastPayload(9)],
    ['a fragmented broadcast', 3, fragmentPayload(Uint8Array.of(2, 0, ...broadcastPayload(9)))],
  ] as const) {
    test(`${what} on a lane above 0 is dropped and counted by a host with ${workers} workers`, async (t) => {
      const { net, a, b } = await pair(2, workers);
      sendOnLane(a, kind, payload);
      net.run(2_000);
      t.is(net.report(b).drops['lane-message'], 1);
      t.is(b.frames.length, 0);
    });
  }
}

test('a fragmented frame on a lane above 0 is taken', async (t) => {
  const { net, a, b } = await pair(2, 2);
  sendOnLane(a, 3, fragmentPayload(Uint8Array.of(1, 0, ...frameOf(1, 2, 5))));
  net.run(100);
  t.deepEqual(numbers(b.frames), [5]);
});

/** Reads ahead into its one batch, as the native engine does when its TAP has frames. */
class ReadingAhead implements Engine {
  #held: FrameBatch | undefined;
  readonly #engine: Engine;
  readonly open: Engine['open'];
  readonly close: Engine['close'];
  readonly configure: Engine['configure'];
  readonly adoptFrames: Engine['adoptFrames'];
  readonly receive: Engine['receive'];
  readonly send: Engine['send'];
  readonly writeFrames: Engine['writeFrames'];
  readonly drainEvents: Engine['drainEvents'];

  constructor(engine: Engine) {
    this.#engine = engine;
    this.open = (options) => engine.open(options);
    this.close = () => engine.close();
    this.configure = (changes) => engine.configure(changes);
    this.adoptFrames = (frames) => engine.adoptFrames(frames);
    this.receive = () => engine.receive();
    this.send = (plan) => engine.send(plan);
    this.writeFrames = (plan) => engine.writeFrames(plan);
    this.drainEvents = () => engine.drainEvents();
  }

  readAhead(): void {
    this.#held = this.#engine.readFrames();
  }

  readFrames(): FrameBatch {
    const batch = this.#held ?? this.#engine.readFrames();
    this.#held = undefined;
    return batch;
  }
}

test('frames that another worker hands over cost none of those that the engine has read ahead, and go once', async (t) => {
  const net = new DataNet();
  const engines: ReadingAhead[] = [];
  net.wrapEngine = (engine) => {
    const wrapped = new ReadingAhead(engine);
    engines.push(wrapped);
    return wrapped;
  };
  const { a, b } = await pair(2, 2, {}, net);
  for (const number of [1, 2, 3]) a.engine.hostSends(frameOf(1, 2, number));
  engines[0]!.readAhead();
  const frames = [11, 12].map((number) => ({ bytes: frameOf(1, 2, number), segment: 100, flags: 0 }));
  a.node.onLane(1, { type: 'frames', frames }, net.now);
  net.run(100);
  t.deepEqual(
    numbers(b.frames).sort((x, y) => x - y),
    [1, 2, 3, 11, 12],
  );
});

test('of a flood of MACs 4,096 are told to the other workers and the rest counted, and told when they are heard again', async (t) => {
  const { net, a } = await pair(2, 2);
  const strangerSends = (stranger: number) => {
    const frame = frameOf(1, 2, stranger);
    frame.set([2, 0, 0, 1, stranger >> 8, stranger & 255], 6);
    queueOf(a, 1).hostSends(frame);
    if (stranger % 64 === 63) net.settle();
  };
  const known = net.report(a).macs;
  for (let stranger = 0; stranger < 5_000; stranger++) strangerSends(stranger);
  net.settle();
  t.is(net.report(a).macs - known, 4_096);
  net.run(2_000);
  t.is(net.report(a).drops['learned-limited'], 5_000 - 4_096);
  for (let stranger = 0; stranger < 5_000; stranger++) strangerSends(stranger);
  net.settle();
  t.is(net.report(a).macs - known, 5_000);
});

test('what a worker drops is reported within a second, though nothing else went by it', async (t) => {
  const { net, a } = await pair(2, 2);
  const lane = a.lanes[0]!;
  t.is(lane.node.nextTimeout(), undefined);
  queueOf(a, 1).hostSends(frameOf(1, 1, 1));
  net.run(1_000);
  t.is(net.report(a).drops['frame-destination-local'], 1);
  t.is(lane.node.nextTimeout(), undefined);
});

test('what an engine repeated after the last report is asked for once more', async (t) => {
  const { net, a } = await pair(2, 2);
  const lane = a.lanes[0]!;
  net.run(5_000);
  t.is(lane.node.nextTimeout(), undefined);
  queueOf(a, 1).hostSends(frameOf(1, 2, 1));
  net.settle();
  const before = net.report(a).workers[1]!.sentBytes;
  // It moves frames by itself, and wakes nobody for it.
  const drainEvents = lane.engine.drainEvents.bind(lane.engine);
  lane.engine.drainEvents = () => {
    lane.engine.drainEvents = drainEvents;
    return [{ type: 'sent', session: laneSession(1, 1), datagrams: 3, bytes: 400 }];
  };
  net.run(2_000);
  t.is(net.report(a).workers[1]!.sentBytes, before + 400);
  net.run(2_000);
  t.is(lane.node.nextTimeout(), undefined);
});

test('what an engine dropped after the last report is asked for once more', async (t) => {
  const { net, a } = await pair(2, 2);
  const lane = a.lanes[0]!;
  net.run(5_000);
  lane.engine.deliver(parseEndpoint('192.0.2.77', 6783)!, Uint8Array.of(1));
  net.settle();
  // It calls for the first of a flood, and keeps the rest to itself.
  const drainEvents = lane.engine.drainEvents.bind(lane.engine);
  lane.engine.drainEvents = () => {
    lane.engine.drainEvents = drainEvents;
    return [{ type: 'dropped', reason: 'datagram-too-short', count: 40 }];
  };
  net.run(2_000);
  t.is(net.report(a).drops['datagram-too-short'], 41);
  net.run(2_000);
  t.is(lane.node.nextTimeout(), undefined);
});
