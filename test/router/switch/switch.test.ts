import test from 'ava';
import fc from 'fast-check';
import { concatBytes, fromHex } from '../../../core/bytes.ts';
import type { SwitchDrop } from '../../../router/switch/drops.ts';
import { Plans } from '../../../router/switch/plans.ts';
import { Switch } from '../../../router/switch/switch.ts';
import {
  broadcastOriginator,
  broadcastSequence,
  broadcastTtl,
  fragmentOffset,
  fragmentTotal,
  writeBroadcastPrefix,
  writeFragmentPrefix,
} from '../../../router/wire/inner.ts';
import { laneSession } from '../../../router/wire/lanes.ts';
import { BROADCAST_MAC, macOfName, writeMac } from '../../../router/wire/mac.ts';
import { ethernet, ipv4, ipv6 } from '../wire/frames.ts';
import { peerAt, routesOf } from './routes.ts';
import { FAR_MTU, SwitchBench } from './switch-bench.ts';

const HERE = 0x020000000001;
const THERE = 0x020000000002;
const ELSEWHERE = 0x020000000003;

function frame(to: number, from: number, payload = new Uint8Array(60)): Uint8Array {
  return ethernet(to, from, 0x9000, payload);
}

function frameMessage(bytes: Uint8Array, flags = 0): Uint8Array {
  return concatBytes(Uint8Array.of(1, flags), bytes);
}

function broadcastMessage(originator: number, sequence: number, bytes: Uint8Array, ttl = 64): Uint8Array {
  const prefix = new Uint8Array(14);
  const header = { originator: macOfName(peerAt(originator)), sequence, ttl, epoch: 7 };
  writeBroadcastPrefix(prefix, 0, 0, header);
  return concatBytes(prefix, bytes);
}

function fragments(message: Uint8Array, size: number, id = 1): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < message.length; start += size) {
    const prefix = new Uint8Array(10);
    writeFragmentPrefix(prefix, 0, id, start, message.length);
    pieces.push(concatBytes(prefix, message.subarray(start, start + size)));
  }
  return pieces;
}

/** The inner message that fragments carry, put together the obvious way. */
function whole(pieces: readonly Uint8Array[]): Uint8Array {
  const message = new Uint8Array(fragmentTotal(pieces[0]!, 2));
  for (const piece of pieces) message.set(piece.subarray(10), fragmentOffset(piece, 2));
  return message;
}

/** Peer 1 is known to have THERE. */
function learned(): SwitchBench {
  const bench = new SwitchBench(0);
  bench.fromPeer(0, 1, frameMessage(frame(HERE, THERE)));
  bench.takeWritten();
  return bench;
}

test('a frame for a known MAC goes to its peer alone', (t) => {
  const bench = learned();
  const bytes = frame(THERE, HERE);
  bench.fromHost(1, { bytes, flags: 1 });
  t.deepEqual(bench.takeSent(), [{ peer: 1, plain: false, message: frameMessage(bytes, 1) }]);
  t.deepEqual(bench.switch.drops.toObject(), {});
});

test('a link that is plain gets plain entries', (t) => {
  const bench = learned();
  bench.link(1, FAR_MTU, true);
  bench.fromHost(1, { bytes: frame(THERE, HERE) });
  t.true(bench.takeSent()[0]!.plain);
});

test('the engine may repeat what was decided on a sealed unicast, and nothing else', (t) => {
  const repeats = (to: number, plain: boolean): readonly number[] => {
    const bench = learned();
    bench.takeRepeats();
    bench.link(1, FAR_MTU, plain);
    bench.fromHost(1, { bytes: frame(to, HERE) });
    return bench.takeRepeats();
  };
  t.deepEqual(repeats(THERE, false), [FAR_MTU + 14]);
  t.deepEqual(repeats(THERE, true), [0]);
  t.deepEqual(repeats(ELSEWHERE, false), [0, 0, 0]);
  const bench = learned();
  bench.takeRepeats();
  bench.fromHost(1, { bytes: frame(THERE, HERE, new Uint8Array(2 * FAR_MTU)) });
  t.deepEqual(bench.takeRepeats(), [0, 0]);
});

test('the engine may repeat what was decided on a received unicast, and nothing else', (t) => {
  const bench = new SwitchBench(0);
  bench.fromPeer(0, 1, frameMessage(frame(HERE, THERE)));
  t.deepEqual(bench.takeRepeats(), [1]);
  bench.fromPeer(0, 1, broadcastMessage(1, 1, frame(BROADCAST_MAC, THERE)));
  t.deepEqual(bench.takeRepeats(), [0]);
  for (const piece of fragments(frameMessage(frame(HERE, THERE)), 40)) bench.fromPeer(0, 1, piece);
  t.deepEqual(bench.takeRepeats(), [0]);
});

for (const [what, to] of [
  ['an unknown MAC', ELSEWHERE],
  ['the broadcast MAC', BROADCAST_MAC],
  ['a multicast MAC', 0x01005e000001],
] as const) {
  test(`a frame for ${what} is flooded to all children, with one sequence`, (t) => {
    const bench = learned();
    const bytes = frame(to, HERE);
    bench.fromHost(1, { bytes }, { bytes });
    const sent = bench.takeSent();
    t.deepEqual(
      sent.map(({ peer }) => peer),
      [1, 1, 2, 2, 3, 3],
    );
    t.deepEqual(sent[0]!.message, broadcastMessage(0, 0, bytes));
    t.deepEqual(sent[1]!.message, broadcastMessage(0, 1, bytes));
    t.deepEqual(sent[4]!.message, sent[0]!.message);
  });
}

test('a received broadcast is delivered once and passed on with one hop less', (t) => {
  const line = new SwitchBench(1, [
    [0, 1],
    [1, 2],
    [1, 3],
  ]);
  const bytes = frame(BROADCAST_MAC, THERE);
  line.fromPeer(0, 0, broadcastMessage(0, 9, bytes, 5));
  line.fromPeer(0, 2, broadcastMessage(0, 9, bytes, 5));
  t.deepEqual(line.takeWritten(), [bytes]);
  t.deepEqual(
    line
      .takeSent()
      .map(({ peer, message }) => [peer, broadcastTtl(message, 2), broadcastSequence(message, 2)]),
    [
      [2, 4, 9],
      [3, 4, 9],
    ],
  );
  t.is(line.switch.drops.get('broadcast-duplicate'), 1);
});

test('a broadcast is never sent back to where it came from', (t) => {
  const line = new SwitchBench(1, [
    [0, 1],
    [1, 2],
    [1, 3],
  ]);
  line.fromPeer(0, 2, broadcastMessage(0, 9, frame(BROADCAST_MAC, THERE)));
  t.deepEqual(
    line.takeSent().map(({ peer }) => peer),
    [3],
  );
});

test('a broadcast without hops left is delivered but not passed on', (t) => {
  const line = new SwitchBench(1, [
    [0, 1],
    [1, 2],
  ]);
  line.fromPeer(0, 0, broadcastMessage(0, 9, frame(BROADCAST_MAC, THERE), 1));
  t.is(line.takeWritten().length, 1);
  t.deepEqual(line.takeSent(), []);
  t.is(line.switch.drops.get('broadcast-expired'), 1);
});

test('the source of a broadcast is learned at its originator, not at who passed it on', (t) => {
  const bench = new SwitchBench(0);
  bench.fromPeer(0, 2, broadcastMessage(3, 1, frame(BROADCAST_MAC, THERE)));
  bench.fromHost(1, { bytes: frame(THERE, HERE) });
  t.deepEqual(
    bench.takeSent().map(({ peer, message }) => [peer, message[0]]),
    [[3, 1]],
  );
});

test('a received frame for an unknown or local MAC is written to the host', (t) => {
  const bench = new SwitchBench(0);
  const unknown = frame(HERE, THERE);
  bench.fromPeer(0, 1, frameMessage(unknown, 1));
  bench.fromHost(5_000, { bytes: frame(BROADCAST_MAC, HERE) });
  bench.fromPeer(5_000, 1, frameMessage(unknown, 0xff));
  t.deepEqual(bench.written, [
    { frame: unknown, flags: 1 },
    { frame: unknown, flags: 1 },
  ]);
});

test('a received frame for a MAC behind another peer is not sent round', (t) => {
  const bench = learned();
  bench.fromPeer(1, 2, frameMessage(frame(THERE, ELSEWHERE)));
  t.deepEqual(bench.takeWritten(), []);
  t.deepEqual(bench.takeSent(), []);
  t.is(bench.switch.drops.get('frame-destination-elsewhere'), 1);
});

test('what a peer says of its MACs keeps frames from being flooded', (t) => {
  const bench = new SwitchBench(0);
  bench.switch.onPeerMacs(peerAt(2), fromHex('020000000002' + '01005e000001')!, 0);
  bench.fromHost(1, { bytes: frame(THERE, HERE) });
  t.deepEqual(
    bench.takeSent().map(({ peer }) => peer),
    [2],
  );
  t.is(bench.switch.macCount(1), 2);
});

test('a peer that is gone is forgotten, and frames for its MACs are flooded', (t) => {
  const bench = learned();
  bench.switch.onPeerGone(peerAt(1));
  bench.fromHost(1, { bytes: frame(THERE, HERE) });
  t.is(bench.takeSent().length, 3);
});

test('a frame that came from a peer and is captured here again is a loop', (t) => {
  const bench = learned();
  bench.fromHost(999, { bytes: frame(BROADCAST_MAC, THERE) });
  t.deepEqual(bench.takeSent(), []);
  t.is(bench.switch.drops.get('frame-looped'), 1);
  t.like(bench.switch.drainEvents(), [{ type: 'mac-loop', peer: peerAt(1) }]);
});

test('an attached MAC is no loop', (t) => {
  const bench = learned();
  bench.switch.onLocalMacs(fromHex('020000000002')!);
  bench.fromHost(999, { bytes: frame(BROADCAST_MAC, THERE) });
  t.is(bench.takeSent().length, 3);
});

const hostDrops: { drop: SwitchDrop; bytes: Uint8Array; segment?: number }[] = [
  { drop: 'frame-malformed', bytes: new Uint8Array(13) },
  { drop: 'frame-reserved-destination', bytes: frame(0x0180c2000000, HERE) },
  { drop: 'frame-group-source', bytes: frame(THERE, BROADCAST_MAC) },
  { drop: 'super-frame-flooded', bytes: frame(ELSEWHERE, HERE, new Uint8Array(3_000)), segment: 1_400 },
];
for (const { drop, bytes, segment } of hostDrops) {
  test(`a frame of the host is dropped and counted as ${drop}`, (t) => {
    const bench = learned();
    bench.fromHost(1, segment === undefined ? { bytes } : { bytes, segment });
    t.deepEqual(bench.takeSent(), []);
    t.deepEqual(bench.switch.drops.toObject(), { [drop]: 1 });
  });
}

test('a frame between two MACs of this host stays here', (t) => {
  const bench = learned();
  bench.fromHost(1, { bytes: frame(BROADCAST_MAC, ELSEWHERE) });
  bench.takeSent();
  bench.fromHost(1, { bytes: frame(ELSEWHERE, HERE) });
  t.deepEqual(bench.takeSent(), []);
  t.is(bench.switch.drops.get('frame-destination-local'), 1);
});

const peerDrops: { drop: SwitchDrop; message: Uint8Array; from?: number }[] = [
  { drop: 'frame-malformed', message: frameMessage(new Uint8Array(13)) },
  { drop: 'frame-reserved-destination', message: frameMessage(frame(0x0180c200000e, THERE)) },
  { drop: 'frame-group-source', message: broadcastMessage(1, 0, frame(BROADCAST_MAC, BROADCAST_MAC)) },
  { drop: 'broadcast-malformed', message: broadcastMessage(1, 0, new Uint8Array(13)) },
  { drop: 'broadcast-originator-unknown', message: broadcastMessage(9, 0, frame(BROADCAST_MAC, THERE)) },
  { drop: 'broadcast-own', message: broadcastMessage(0, 0, frame(BROADCAST_MAC, THERE)) },
  { drop: 'sender-unknown', message: frameMessage(frame(HERE, THERE)), from: 99 },
  { drop: 'fragment-malformed', message: Uint8Array.of(3, 0, 1) },
  { drop: 'fragment-kind-unknown', message: fragments(Uint8Array.of(8, 0, 1), 99)[0]! },
  { drop: 'frame-malformed', message: fragments(Uint8Array.of(1, 0), 99)[0]! },
  { drop: 'broadcast-malformed', message: fragments(Uint8Array.of(2, 0), 99)[0]! },
];
for (const [i, { drop, message, from }] of peerDrops.entries()) {
  test(`a message of a peer is dropped and counted as ${drop} (${i})`, (t) => {
    const bench = new SwitchBench(0);
    bench.fromPeer(0, from ?? 1, message);
    t.deepEqual(bench.takeWritten(), []);
    t.deepEqual(bench.switch.drops.toObject(), { [drop]: 1 });
  });
}

test('messages of other kinds are left to the caller', (t) => {
  const bench = new SwitchBench(0);
  bench.fromPeer(0, 1, Uint8Array.of(4, 0, 1, 2), Uint8Array.of(200, 0));
  t.deepEqual(bench.switch.drops.toObject(), {});
});

test('nothing is flooded before the first routes', (t) => {
  const fresh = new Switch({ route: () => undefined, hold: () => undefined, sender: () => peerAt(1) });
  const plans = new Plans({ send: () => t.fail(), writeFrames: () => t.fail() });
  const bytes = frame(BROADCAST_MAC, HERE);
  const length = Uint32Array.of(bytes.length);
  const zero = { offset: new Uint32Array(1), flags: new Uint8Array(1) };
  fresh.planFrames({ count: 1, data: bytes, length, segment: length, ...zero }, plans, 0);
  plans.flush();
  t.deepEqual(fresh.drops.toObject(), { 'routes-unknown': 1 });
});

test('an originator that floods without end is limited, others are not', (t) => {
  const bench = new SwitchBench(0);
  for (let i = 0; i < 2_100; i++) bench.fromPeer(0, 1, broadcastMessage(1, i, frame(BROADCAST_MAC, THERE)));
  t.is(bench.takeWritten().length, 2_000);
  t.is(bench.switch.drops.get('flood-limited'), 100);
  bench.fromPeer(0, 2, broadcastMessage(2, 0, frame(BROADCAST_MAC, ELSEWHERE)));
  t.is(bench.takeWritten().length, 1);
  bench.fromPeer(1, 1, broadcastMessage(1, 9_000, frame(BROADCAST_MAC, THERE)));
  t.is(bench.takeWritten().length, 1);
});

test('frames to made-up MACs, however many, leave room for what is for all', (t) => {
  const bench = new SwitchBench(0);
  for (let i = 0; i < 5_000; i++) bench.fromHost(0, { bytes: frame(ELSEWHERE + i, HERE) });
  t.is(bench.switch.drops.get('flood-limited'), 4_000);
  bench.takeSent();
  for (let i = 0; i < 1_000; i++) bench.fromHost(0, { bytes: frame(BROADCAST_MAC, HERE) });
  t.is(bench.takeSent().length, 3_000, 'to three children each');
  t.is(bench.switch.drops.get('flood-limited'), 4_000);
});

test('frames for a peer without a link are held and go out when it has one', (t) => {
  const bench = learned();
  bench.routes.delete(peerAt(1));
  const unicast = frame(THERE, HERE);
  const flooded = frame(BROADCAST_MAC, HERE);
  bench.fromHost(1, { bytes: unicast, flags: 1 }, { bytes: flooded });
  t.deepEqual(
    bench.held.map(({ peer, message }) => [peer, message]),
    [
      [peerAt(1), frameMessage(unicast, 1)],
      [peerAt(1), broadcastMessage(0, 0, flooded)],
    ],
  );
  bench.takeSent();
  bench.link(1);
  for (const { peer, message } of bench.held) bench.switch.planHeld(peer, message!, bench.plans, 2);
  bench.plans.flush();
  t.deepEqual(
    bench.takeSent().map(({ message }) => message),
    [frameMessage(unicast, 1), broadcastMessage(0, 0, flooded)],
  );
});

test('a held frame is held again while there is no link', (t) => {
  const bench = new SwitchBench(0);
  bench.routes.clear();
  bench.switch.planHeld(peerAt(1), frameMessage(frame(THERE, HERE)), bench.plans, 0);
  t.deepEqual(bench.held, [{ peer: peerAt(1), message: frameMessage(frame(THERE, HERE)) }]);
});

test('a super-frame is not held, but asks for the link', (t) => {
  const bench = learned();
  bench.routes.delete(peerAt(1));
  bench.fromHost(1, { bytes: frame(THERE, HERE, new Uint8Array(3_000)), segment: 1_000 });
  t.deepEqual(bench.held, [{ peer: peerAt(1), message: undefined }]);
  t.is(bench.switch.drops.get('super-frame-unlinked'), 1);
});

test('a super-frame whose segments fit goes whole', (t) => {
  const bench = learned();
  const bytes = ethernet(THERE, HERE, 0x0800, ipv4(new Uint8Array(5_000)));
  bench.fromHost(1, { bytes, segment: 14 + FAR_MTU });
  t.deepEqual(bench.takeSent()[0]!.message, frameMessage(bytes));
});

test('VLAN tags do not count towards the MTU', (t) => {
  for (const [tags, excess, fits] of [
    [0, 0, true],
    [1, 0, true],
    [2, 0, true],
    [0, 1, false],
    [1, 1, false],
  ] as const) {
    const bench = learned();
    const payload = ipv4(new Uint8Array(FAR_MTU - 20 + excess));
    bench.fromHost(1, { bytes: ethernet(THERE, HERE, 0x0800, payload, tags) });
    t.is(bench.takeSent().length, fits ? 1 : 0, `${tags} tags`);
    t.is(bench.takeWritten().length, fits ? 0 : 1);
  }
});

test('a frame with DF that does not fit is answered to its sender, fifty times a second and a hundred times to all', (t) => {
  const bench = learned();
  const bytes = ethernet(THERE, HERE, 0x0800, ipv4(new Uint8Array(1_480)));
  for (let i = 0; i < 110; i++) bench.fromHost(1, { bytes });
  t.deepEqual(bench.takeSent(), []);
  const answers = bench.takeWritten();
  t.is(answers.length, 50);
  const expected = new Uint8Array(12);
  writeMac(HERE, expected, 0);
  writeMac(THERE, expected, 6);
  t.deepEqual(answers[0]!.subarray(0, 12), expected);
  t.deepEqual(answers[0]!.subarray(38, 42), Uint8Array.of(0, 0, FAR_MTU >> 8, FAR_MTU & 0xff));
  for (let i = 0; i < 110; i++)
    bench.fromHost(1, { bytes: ethernet(THERE, HERE + 10 + (i % 10), 0x0800, ipv4(new Uint8Array(1_480))) });
  t.is(bench.takeWritten().length, 50);
  t.deepEqual(bench.switch.drops.toObject(), { 'frame-too-big': 100, 'icmp-limited': 120 });
});

test('a super-frame whose segments do not fit is answered if it may be, else cut smaller', (t) => {
  const bench = learned();
  const segment = 18 + FAR_MTU + 1;
  const tagged = (df: boolean) => ethernet(THERE, HERE, 0x0800, ipv4(new Uint8Array(5_000), { df }), 1);
  bench.fromHost(1, { bytes: tagged(true), segment });
  t.is(bench.takeWritten().length, 1);
  t.deepEqual(bench.takeSent(), []);
  bench.takeRepeats();
  bench.fromHost(1, { bytes: tagged(false), segment });
  t.is(bench.takeWritten().length, 0);
  t.deepEqual(bench.takeSent()[0]!.message, frameMessage(tagged(false)));
  t.deepEqual(bench.segments, [18 + FAR_MTU]);
  t.deepEqual(bench.takeRepeats(), [0], 'the next one may be larger than what was decided on');
});

test('IPv6 in segments of its least MTU passes a smaller path, and longer ones are told of that', (t) => {
  const bench = learned();
  bench.link(1, 1_168);
  const bytes = ethernet(THERE, HERE, 0x86dd, ipv6(new Uint8Array(5_000)));
  bench.fromHost(1, { bytes, segment: 14 + 1_280 }, { bytes, segment: 14 + 1_281 });
  t.deepEqual(
    bench.takeSent().map(({ message }) => message),
    [frameMessage(bytes)],
  );
  t.deepEqual(bench.segments, [14 + 1_168]);
  const [answer, ...others] = bench.takeWritten();
  t.deepEqual(others, []);
  t.deepEqual(answer!.subarray(58, 62), Uint8Array.of(0, 0, 1_280 >> 8, 1_280 & 0xff));
});

for (const [what, payload, mtu] of [
  ['IPv4 without DF', ipv4(new Uint8Array(4_000).fill(7), { df: false }), FAR_MTU],
  ['IPv6 of the least MTU on a smaller path', ipv6(new Uint8Array(1_240).fill(7)), 1_168],
] as const) {
  test(`${what} that does not fit goes in fragments and arrives whole`, (t) => {
    const bench = learned();
    bench.link(1, mtu);
    const type = payload[0]! >> 4 === 4 ? 0x0800 : 0x86dd;
    const bytes = ethernet(THERE, HERE, type, payload);
    bench.fromHost(1, { bytes, flags: 1 });
    const pieces = bench.takeSent().map(({ message }) => message);
    t.true(pieces.length > 1);
    t.true(pieces.every((piece) => piece[0] === 3 && piece.length <= mtu + 32));
    t.deepEqual(whole(pieces), frameMessage(bytes, 1));
    const receiver = new SwitchBench(1);
    receiver.fromPeer(1, 0, ...pieces.reverse());
    t.deepEqual(receiver.written, [{ frame: bytes, flags: 1 }]);
  });
}

test('a broadcast goes whole if its datagram fits, for which there may be one VLAN tag', (t) => {
  for (const [tags, less, messages] of [
    [0, 0, 1],
    [1, 0, 1],
    [2, 0, 2],
    [2, 4, 1],
  ] as const) {
    const bench = new SwitchBench(0);
    const payload = ipv4(new Uint8Array(FAR_MTU - 20 - less));
    bench.fromHost(1, { bytes: ethernet(BROADCAST_MAC, HERE, 0x0800, payload, tags) });
    const sent = bench.takeSent().filter(({ peer }) => peer === 1);
    t.is(sent.length, messages, `${tags} tags, ${less} bytes less`);
    for (const { message } of sent) t.true(message.length <= FAR_MTU + 32);
  }
});

test('a broadcast that does not fit goes in fragments, is delivered and passed on', (t) => {
  const sender = new SwitchBench(0);
  const bytes = ethernet(BROADCAST_MAC, HERE, 0x0800, ipv4(new Uint8Array(3_000).fill(5)));
  sender.fromHost(1, { bytes });
  t.deepEqual(sender.takeWritten(), []);
  const pieces = sender.takeSent().filter(({ peer }) => peer === 1);
  const relay = new SwitchBench(1, [
    [0, 1],
    [1, 2],
  ]);
  relay.fromPeer(1, 0, ...pieces.map(({ message }) => message));
  t.deepEqual(relay.takeWritten(), [bytes]);
  const passedOn = relay.takeSent().map(({ message }) => message);
  t.deepEqual(whole(passedOn), broadcastMessage(0, 0, bytes, 63));
});

test('a frame longer than fragments can say is dropped', (t) => {
  const bench = learned();
  bench.fromHost(1, { bytes: frame(THERE, HERE, new Uint8Array(65_530)) });
  t.deepEqual(bench.takeSent(), []);
  t.is(bench.switch.drops.get('frame-too-long'), 1);
});

test('fragments of two frames in flight do not mix', (t) => {
  const bench = learned();
  const frames = [1, 2].map((fill) =>
    ethernet(THERE, HERE, 0x0800, ipv4(new Uint8Array(2_000).fill(fill), { df: false })),
  );
  bench.fromHost(1, ...frames.map((bytes) => ({ bytes })));
  const pieces = bench.takeSent().map(({ message }) => message);
  const receiver = new SwitchBench(1);
  receiver.fromPeer(1, 0, pieces[0]!, pieces[2]!, pieces[1]!, pieces[3]!);
  t.deepEqual(receiver.takeWritten(), frames);
});

test('fragments of two lanes of a peer do not mix, though each lane counts its ids from 0', (t) => {
  const send = (fill: number) => {
    const sender = learned();
    const payload = ipv4(new Uint8Array(2_000).fill(fill), { df: false });
    const bytes = ethernet(THERE, HERE, 0x0800, payload);
    sender.fromHost(1, { bytes });
    return { bytes, pieces: sender.takeSent().map(({ message }) => message) };
  };
  const lane0 = send(1);
  const lane1 = send(2);
  const receiver = new SwitchBench(1);
  receiver.fromPeer(1, 0, lane0.pieces[0]!);
  receiver.fromPeer(1, laneSession(0, 1), ...lane1.pieces);
  t.deepEqual(receiver.takeWritten(), [lane1.bytes]);
  receiver.fromPeer(1, 0, lane0.pieces[1]!);
  t.deepEqual(receiver.takeWritten(), [lane0.bytes]);
});

test('an originator that was gone for a while begins anew, one that is back soon does not', (t) => {
  const bench = new SwitchBench(0);
  const message = broadcastMessage(1, 5, frame(BROADCAST_MAC, THERE));
  bench.fromPeer(0, 1, message);
  const without = routesOf(1, [], 0);
  const within = routesOf(2, [[0, 1]], 0);
  bench.switch.onRoutes(without, 0);
  bench.fromPeer(1, 1, message);
  t.is(bench.switch.drops.get('broadcast-originator-unknown'), 1);
  bench.switch.onRoutes(within, 19_999);
  bench.fromPeer(2, 1, message);
  t.is(bench.switch.drops.get('broadcast-duplicate'), 1);
  bench.switch.onRoutes(without, 30_000);
  bench.switch.onRoutes(within, 50_000);
  bench.fromPeer(3, 1, message);
  t.is(bench.takeWritten().length, 2);
});

test('fragments that stay alone expire', (t) => {
  const bench = new SwitchBench(0);
  bench.fromPeer(0, 1, fragments(frameMessage(frame(HERE, THERE)), 30)[0]!);
  t.is(bench.switch.nextTimeout(), 2_000);
  bench.switch.onTimeout(2_000);
  t.is(bench.switch.drops.get('reassembly-expired'), 1);
  t.is(bench.switch.nextTimeout(), undefined);
});

test('originators keep their own name on what others pass on', (t) => {
  const line = new SwitchBench(1, [
    [0, 1],
    [1, 2],
  ]);
  line.fromPeer(0, 0, broadcastMessage(0, 1, frame(BROADCAST_MAC, THERE)));
  t.is(broadcastOriginator(line.takeSent()[0]!.message, 2), macOfName(peerAt(0)));
});

test('whatever peers and the host send, the switch neither throws nor sends a frame that it was not given', (t) => {
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 80 });
  const message = fc.tuple(fc.integer({ min: 0, max: 12 }), bytes);
  fc.assert(
    fc.property(fc.array(message), fc.array(bytes), (messages, frames) => {
      const bench = new SwitchBench(0);
      bench.fromPeer(0, 1, ...messages.map(([kind, rest]) => concatBytes(Uint8Array.of(kind, 0), rest)));
      bench.fromHost(0, ...frames.map((raw) => ({ bytes: raw })));
      t.true(bench.sent.length <= 3 * (messages.length + frames.length));
    }),
  );
  t.pass();
});
