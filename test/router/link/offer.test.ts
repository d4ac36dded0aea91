import test from 'ava';
import { parseCidr, parseEndpoint } from '../../../core/address.ts';
import { Counters } from '../../../core/counters.ts';
import { toHex } from '../../../core/bytes.ts';
import type { PeerName } from '../../../core/peer-name.ts';
import { SeededRandom } from '../../../core/random.ts';
import { IndexAllocator } from '../../../router/link/index-allocator.ts';
import { backOffAfter } from '../../../router/link/back-off.ts';
import { Offers } from '../../../router/link/offer.ts';
import type { OfferDrop, OfferEffect } from '../../../router/link/offer.ts';
import { encodeEnvelope, parseEnvelope } from '../../../router/link/offer-envelope.ts';
import type { LocalEnd, RemoteEnd } from '../../../router/link/offer-handshake.ts';
import { Pins } from '../../../router/link/pins.ts';
import { fakePrimitives } from '../../sim/fake-primitives.ts';
import { nameOf } from './routes-of.ts';

const LOW = nameOf(1);
const HIGH = nameOf(2);

type Session = Extract<OfferEffect, { type: 'session' }>;
type Message = Extract<OfferEffect, { type: 'send' }>;

/** One end of a pair, with what it sent and made. */
class End {
  readonly offers: Offers;
  readonly local: LocalEnd;
  readonly counters = new Counters<OfferDrop>();
  readonly indexes: IndexAllocator;
  readonly sessions: Session[] = [];
  readonly errors: string[] = [];
  outbox: Message[] = [];

  constructor(name: PeerName, options: Partial<LocalEnd> = {}, run = 1) {
    const random = new SeededRandom(Number.parseInt(name.slice(-2), 16) * 100 + run);
    this.local = {
      name,
      uid: random.bytes(8),
      staticKey: fakePrimitives.keyPairFromSeed(new Uint8Array(32).fill(Number.parseInt(name.slice(-2), 16))),
      encrypted: true,
      bridgeMtu: 1_388,
      workers: 1,
      trusted: [],
      primitives: fakePrimitives,
      random,
      candidates: () => [parseEndpoint(`192.0.2.${Number.parseInt(name.slice(-2), 16)}`, 6783)!],
      ...options,
    };
    this.indexes = new IndexAllocator(random);
    const { local, indexes, counters } = this;
    this.offers = new Offers({ local, indexes, counters, pins: new Pins() });
  }

  get remote(): RemoteEnd {
    const { name, uid, staticKey } = this.local;
    return { name, uid, incarnation: 1, staticKey: staticKey.public, addresses: [] };
  }

  collect(): void {
    for (const effect of this.offers.drain()) {
      if (effect.type === 'send') this.outbox.push(effect);
      else if (effect.type === 'session') this.sessions.push(effect);
      else this.errors.push(effect.error);
    }
  }

  take(): Message[] {
    this.collect();
    return this.outbox.splice(0);
  }
}

function deliver(from: End, to: End, messages: readonly Message[], now: number): void {
  for (const { kind, bytes } of messages) {
    if (kind === 'offer') to.offers.onOffer(from.local.name, bytes, now);
    else to.offers.onAnswer(from.local.name, bytes, now);
  }
}

/** Carries messages both ways until none is left. */
function settle(a: End, b: End, now: number): void {
  for (let rounds = 0; rounds < 10; rounds++) {
    deliver(a, b, a.take(), now);
    deliver(b, a, b.take(), now);
  }
}

function introduce(a: End, b: End, now = 0): void {
  a.offers.onPeer(b.remote, now);
  b.offers.onPeer(a.remote, now);
}

/** Two ends that know each other; the low one has offered, and nothing was delivered yet. */
function pair(low: Partial<LocalEnd> = {}, high: Partial<LocalEnd> = {}): [End, End] {
  const ends: [End, End] = [new End(LOW, low), new End(HIGH, high)];
  introduce(...ends);
  ends[0].offers.onNeed(HIGH, 0);
  return ends;
}

test('both ends of a handshake hold the same keys, and each the index of the other', (t) => {
  const [low, high] = pair();
  settle(low, high, 0);
  const a = low.sessions[0]!.made;
  const b = high.sessions[0]!.made;
  t.deepEqual(a.material.keys?.send, b.material.keys?.receive);
  t.deepEqual(a.material.keys?.receive, b.material.keys?.send);
  t.notDeepEqual(a.material.keys?.send, a.material.keys?.receive);
  t.is(a.material.localIndex, b.material.remoteIndex);
  t.is(a.material.remoteIndex, b.material.localIndex);
  t.deepEqual(a.handshakeHash, b.handshakeHash);
  t.deepEqual([a.material.initiator, b.material.initiator], [true, false]);
  t.deepEqual(a.material.candidates, [...high.local.candidates()]);
  t.is(a.material.remoteBridgeMtu, 1_388);
  t.is(a.material.cookies, undefined, 'nobody trusts a subnet');
  t.is(low.sessions.length + high.sessions.length, 2);
});

test('offers and answers are numbered from 0 until a session comes alive', (t) => {
  const [low, high] = pair();
  const attempts: (readonly [string, number])[] = [];
  for (let now = 0; attempts.length < 6; now += 30_000) {
    low.offers.onNeed(HIGH, now);
    const offers = low.take();
    deliver(low, high, offers, now);
    for (const { kind, attempt } of [...offers, ...high.take()]) attempts.push([kind, attempt]);
    if (attempts.length !== 4) continue;
    low.offers.onSessionLive(HIGH);
    high.offers.onSessionLive(LOW);
  }
  const round = (attempt: number) => [['offer', attempt] as const, ['answer', attempt] as const];
  t.deepEqual(attempts, [0, 1, 0].flatMap(round));
});

test('with a password, plain terms are agreed where both ends trust some subnet', (t) => {
  const trusted = [parseCidr('192.0.2.0/24')!];
  const [low, high] = pair({ trusted }, { trusted });
  settle(low, high, 0);
  const a = low.sessions[0]!.made.material;
  const b = high.sessions[0]!.made.material;
  t.deepEqual(a.cookies?.send, b.cookies?.receive);
  t.deepEqual(a.cookies?.receive, b.cookies?.send);
  t.deepEqual(a.remoteTrusted, trusted);
  const [one, other] = pair({ trusted }, {});
  settle(one, other, 0);
  t.is(one.sessions[0]!.made.material.cookies, undefined);
});

test('without a password a session has cookies and no keys', (t) => {
  const [low, high] = pair({ encrypted: false }, { encrypted: false });
  settle(low, high, 0);
  t.is(low.sessions[0]!.made.material.keys, undefined);
  t.deepEqual(low.sessions[0]!.made.material.cookies?.send, high.sessions[0]!.made.material.cookies?.receive);
});

test('ends of which one has a password make no session and say so', (t) => {
  const [low, high] = pair({ encrypted: false });
  settle(low, high, 0);
  t.is(low.sessions.length + high.sessions.length, 0);
  t.deepEqual(high.errors, [`${LOW} has no password, one is set here`]);
  t.is(high.counters.get('offer-password-mismatch'), 1);
});

test('in a mesh the lower name begins at once and the higher one leaves it two seconds', (t) => {
  const [low, high] = [new End(LOW), new End(HIGH)];
  introduce(low, high);
  low.offers.setMesh(new Set([HIGH]), 0);
  high.offers.setMesh(new Set([LOW]), 0);
  t.is(low.take().length, 1);
  t.is(high.take().length, 0);
  t.is(high.offers.nextTimeout(), 2_000);
  high.offers.onTimeout(2_000);
  t.is(high.take().length, 1);
});

test('where two offers cross, the lower name wins and one session comes about', (t) => {
  const [low, high] = pair();
  high.offers.onNeed(LOW, 0);
  const fromLow = low.take();
  const fromHigh = high.take();
  deliver(high, low, fromHigh, 100);
  t.is(low.counters.get('offer-glare'), 1);
  deliver(low, high, fromLow, 100);
  settle(low, high, 100);
  t.is(low.sessions.length, 1);
  t.is(high.sessions.length, 1);
  t.false(high.sessions[0]!.made.material.initiator);
  t.is(high.indexes.used, 1, 'the index of the offer that was dropped is free again');
});

test('an own offer that has been unanswered for five seconds no longer has precedence', (t) => {
  const [low, high] = pair();
  low.take();
  low.offers.onTimeout(2_000);
  low.take();
  high.offers.onNeed(LOW, 6_999);
  deliver(high, low, high.take(), 6_999);
  t.is(low.sessions.length, 0);
  high.offers.onTimeout(high.offers.nextTimeout()!);
  const again = high.take();
  t.is(again.length, 1);
  deliver(high, low, again, 7_000);
  low.collect();
  t.is(low.sessions.length, 1);
});

test('an unanswered offer is made afresh after 2, 4, 8, 16, 30 and 30 seconds', (t) => {
  t.deepEqual(
    [1, 2, 3, 4, 5, 6, 60].map(backOffAfter),
    [2, 4, 8, 16, 30, 30, 30].map((s) => s * 1_000),
  );
  const low = new End(LOW);
  low.offers.onPeer(new End(HIGH).remote, 0);
  low.offers.setMesh(new Set([HIGH]), 0);
  const messages = low.take();
  for (const at of [2_000, 6_000, 14_000]) {
    t.is(low.offers.nextTimeout(), at);
    low.offers.onTimeout(at);
    messages.push(...low.take());
  }
  t.is(new Set(messages.map(({ bytes }) => toHex(bytes))).size, 4);
  t.is(low.indexes.used, 1);
});

test('a peer that comes back into the mesh is offered a session at once, whatever its absence made wait', (t) => {
  const [low] = pair();
  low.offers.setMesh(new Set([HIGH]), 0);
  for (const now of [2_000, 6_000, 14_000]) low.offers.onTimeout(now);
  low.offers.setMesh(new Set(), 15_000);
  low.take();
  low.offers.setMesh(new Set([HIGH]), 16_000);
  t.is(low.take().length, 1);
  t.is(low.offers.nextTimeout(), 18_000);
});

test('offers stop a minute after the data plane asked for the last time', (t) => {
  const low = new End(LOW);
  low.offers.onPeer(new End(HIGH).remote, 0);
  low.offers.onNeed(HIGH, 0);
  let now = 0;
  for (let next = low.offers.nextTimeout(); next !== undefined; next = low.offers.nextTimeout()) {
    now = next;
    low.offers.onTimeout(now);
  }
  t.is(now, 60_000);
  t.is(low.indexes.used, 0);
  t.deepEqual(low.offers.states(), []);
});

test('a session that never came alive is not replaced before the next delay', (t) => {
  const [low, high] = pair();
  settle(low, high, 0);
  low.offers.onNeed(HIGH, 1_100);
  high.offers.onNeed(LOW, 1_100);
  t.is(low.take().length + high.take().length, 0);
  t.is(low.offers.nextTimeout(), 2_000);
  low.offers.onSessionLive(HIGH);
  low.offers.onNeed(HIGH, 1_200);
  t.is(low.take().length, 1);
});

test('a request that crossed the session on its way is not one for another', (t) => {
  const [low, high] = pair();
  settle(low, high, 0);
  low.offers.onSessionLive(HIGH);
  low.offers.onNeed(HIGH, 100);
  t.deepEqual(low.take(), []);
  t.is(low.offers.nextTimeout(), undefined);
});

test('a later run of a peer is offered a session at once, and the old offer to it is dropped', (t) => {
  const [low, high] = pair();
  settle(low, high, 0);
  const reborn = new End(LOW, {}, 2);
  high.offers.onPeer(reborn.remote, 5_000);
  reborn.offers.onPeer(high.remote, 5_000);
  settle(high, reborn, 5_000);
  t.is(high.sessions.length, 2);
  t.deepEqual(high.sessions[1]!.made.material.keys?.send, reborn.sessions[0]!.made.material.keys?.receive);
});

test('an offer of an unknown peer waits for its entry, five seconds at most', (t) => {
  for (const [entryAt, sessions] of [
    [4_999, 1],
    [5_000, 0],
  ] as const) {
    const [low, high] = [new End(LOW), new End(HIGH)];
    low.offers.onPeer(high.remote, 0);
    low.offers.onNeed(HIGH, 0);
    deliver(low, high, low.take(), 0);
    t.is(high.offers.nextTimeout(), 5_000);
    high.offers.onTimeout(entryAt);
    high.offers.onPeer(low.remote, entryAt);
    high.collect();
    t.is(high.sessions.length, sessions);
    t.is(high.counters.get('offer-early'), 1 - sessions);
  }
});

test('an offer of a run that is not known yet waits for the entry of that run', (t) => {
  const high = new End(HIGH);
  const reborn = new End(LOW, {}, 2);
  high.offers.onPeer(new End(LOW).remote, 0);
  reborn.offers.onPeer(high.remote, 0);
  reborn.offers.onNeed(HIGH, 0);
  deliver(reborn, high, reborn.take(), 0);
  t.is(high.counters.get('offer-undecipherable'), 1);
  high.offers.onPeer(reborn.remote, 1_000);
  high.collect();
  t.is(high.sessions.length, 1);
});

test('offers of unknown peers are held in bounded number', (t) => {
  const high = new End(HIGH);
  for (let i = 0; i < 1_000; i++) {
    const from = `00:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`;
    const envelope = { from: from as PeerName, to: HIGH, offer: 1, bytes: Uint8Array.of(1) };
    if (from !== HIGH) high.offers.onOffer(from as PeerName, encodeEnvelope(envelope), 0);
  }
  t.is(high.counters.get('offer-early'), 999 - 256);
});

test('a replayed offer is not answered again, whatever number its envelope claims', (t) => {
  const [low, high] = pair();
  const [offer] = low.take();
  deliver(low, high, [offer!], 0);
  high.take();
  deliver(low, high, [offer!], 10);
  t.is(high.counters.get('offer-replayed'), 1);
  const renumbered = encodeEnvelope({ ...parseEnvelope(offer!.bytes)!, offer: 77 });
  deliver(low, high, [{ ...offer!, bytes: renumbered }], 20);
  t.is(high.counters.get('offer-malformed'), 1);
  high.collect();
  t.is(high.sessions.length, 1);
  t.is(high.indexes.used, 1);
});

test('one run of a peer gets four answers at once and one each second, another run at once', (t) => {
  const [low, high] = pair();
  deliver(low, high, low.take(), 0);
  const another = (now: number) => {
    low.offers.onPeerGone(HIGH, now);
    low.offers.onPeer(high.remote, now);
    low.offers.onNeed(HIGH, now);
    deliver(low, high, low.take(), now);
    high.collect();
    return high.sessions.length;
  };
  t.deepEqual([another(0), another(0), another(0)], [2, 3, 4]);
  t.is(another(999), 4);
  t.is(high.counters.get('offer-too-soon'), 1);
  t.is(another(1_000), 5);
  const reborn = new End(LOW, {}, 2);
  introduce(reborn, high, 1_001);
  reborn.offers.onNeed(HIGH, 1_001);
  deliver(reborn, high, reborn.take(), 1_001);
  high.collect();
  t.is(high.sessions.length, 6);
});

test('an offer is not answered again after its sender was gone for a while', (t) => {
  const [low, high] = pair();
  const [offer] = low.take();
  deliver(low, high, [offer!], 0);
  high.offers.onPeerGone(LOW, 10);
  high.offers.onPeer(low.remote, 20);
  deliver(low, high, [offer!], 30);
  t.is(high.counters.get('offer-replayed'), 1);
  const reborn = new End(LOW, {}, 2);
  reborn.offers.onPeer(high.remote, 40);
  reborn.offers.onNeed(HIGH, 40);
  high.offers.onPeer(reborn.remote, 40);
  deliver(reborn, high, reborn.take(), 40);
  high.collect();
  t.is(high.sessions.length, 2);
});

test('a peer whose key has changed gets no session, and the error names it', (t) => {
  const [low, high] = pair();
  settle(low, high, 0);
  const staticKey = fakePrimitives.keyPairFromSeed(new Uint8Array(32).fill(99));
  const impostor = new End(LOW, { staticKey }, 2);
  high.offers.onPeer(impostor.remote, 1_000);
  high.collect();
  t.deepEqual(high.errors, [`key of ${LOW} changed`]);
  impostor.offers.onPeer(high.remote, 1_000);
  impostor.offers.onNeed(HIGH, 1_000);
  settle(high, impostor, 1_000);
  t.is(high.sessions.length, 1);
  t.is(high.counters.get('offer-key-changed'), 1);
  t.is(high.offers.states()[0]?.error, `key of ${LOW} changed`);
  high.offers.onPeer(low.remote, 2_000);
  t.is(
    high.offers.states().find(({ error }) => error !== undefined),
    undefined,
  );
});

test('an offer under a known name but another key is refused', (t) => {
  const [low, high] = pair();
  const staticKey = fakePrimitives.keyPairFromSeed(new Uint8Array(32).fill(99));
  const forger = new End(LOW, { staticKey, uid: low.local.uid });
  forger.offers.onPeer(high.remote, 0);
  forger.offers.onNeed(HIGH, 0);
  deliver(forger, high, forger.take(), 0);
  high.collect();
  t.is(high.counters.get('offer-wrong-key'), 1);
  t.is(high.sessions.length, 0);
});

test('forged answers do not disturb the offer that they claim to answer', (t) => {
  const [low, high] = pair();
  const offers = low.take();
  const random = new SeededRandom(9);
  for (let i = 0; i < 50; i++) {
    const bytes = encodeEnvelope({ from: HIGH, to: LOW, offer: 1, bytes: random.bytes(1 + i * 4) });
    low.offers.onAnswer(HIGH, bytes, 0);
  }
  t.is(low.counters.get('answer-undecipherable'), 50);
  deliver(low, high, offers, 10);
  settle(low, high, 10);
  t.is(low.sessions.length, 1);
});

test('random bytes, foreign envelopes and unasked answers are counted', (t) => {
  const [low] = pair();
  const random = new SeededRandom(4);
  for (let i = 0; i < 100; i++) low.offers.onOffer(HIGH, random.bytes(i), 0);
  t.is(low.counters.get('offer-malformed'), 100);
  const envelope = { from: HIGH, to: LOW, offer: 50, bytes: Uint8Array.of(1) };
  low.offers.onAnswer(HIGH, encodeEnvelope(envelope), 0);
  t.is(low.counters.get('answer-unexpected'), 1);
  for (const wrong of [{ to: HIGH }, { from: nameOf(3) }]) {
    low.offers.onAnswer(HIGH, encodeEnvelope({ ...envelope, ...wrong }), 0);
  }
  t.is(low.counters.get('answer-malformed'), 2);
});

test('an offer that nobody of this name can have made is counted and leaves no trace', (t) => {
  const [low, high] = pair();
  const random = new SeededRandom(8);
  for (let i = 0; i < 60; i++) {
    const bytes = encodeEnvelope({ from: LOW, to: HIGH, offer: i + 1, bytes: random.bytes(200) });
    high.offers.onOffer(LOW, bytes, 0);
  }
  t.is(high.counters.get('offer-undecipherable'), 60);
  t.is(high.indexes.used, 0);
  settle(low, high, 0);
  t.is(high.sessions.length, 1);
});

test('a peer that has gone is no longer offered anything, and its index is released', (t) => {
  const [low] = pair();
  low.take();
  low.offers.onPeerGone(HIGH, 100);
  t.is(low.indexes.used, 0);
  t.is(low.offers.nextTimeout(), undefined);
  low.offers.onNeed(HIGH, 200);
  t.deepEqual(low.take(), []);
});

test('a peer of the mesh whose session has ended is offered a new one', (t) => {
  const [low, high] = pair();
  low.offers.setMesh(new Set([HIGH]), 0);
  settle(low, high, 0);
  low.offers.onSessionLive(HIGH);
  t.is(low.offers.nextTimeout(), undefined);
  low.offers.onSessionEnded(HIGH, 60_000);
  t.is(low.take().length, 1);
});

test('a peer that gave an unused link up is not pressed before a frame waits, or the mesh asks anew', (t) => {
  const again = {
    'a frame waits': (low: End) => low.offers.onNeed(HIGH, 120_000),
    'the mesh asks anew': (low: End) => {
      low.offers.setMesh(new Set(), 100_000);
      low.offers.setMesh(new Set([HIGH]), 120_000);
    },
  };
  for (const [what, happens] of Object.entries(again)) {
    const [low, high] = pair();
    low.offers.setMesh(new Set([HIGH]), 0);
    settle(low, high, 0);
    low.offers.onSessionLive(HIGH);
    low.offers.onUnused(HIGH);
    low.offers.onSessionEnded(HIGH, 60_000);
    t.deepEqual(low.take(), [], what);
    t.is(low.offers.nextTimeout(), undefined, what);
    const before = high.sessions.length;
    happens(low);
    settle(low, high, 120_000);
    t.is(high.sessions.length, before + 1, what);
    low.offers.onSessionLive(HIGH);
    low.offers.onSessionEnded(HIGH, 180_000);
    t.is(low.take().length, 1, what);
  }
});

test('a wish that ends before a late timer fires is given up once, and a new one begins anew', (t) => {
  const [low] = pair();
  // Offers at 0, 2, 6, 14, 30 and 60 s; the next would leave at 90 s, the wish ends at 90.3 s.
  for (const now of [2_000, 6_000, 14_000, 30_000]) low.offers.onTimeout(now);
  low.offers.onNeed(HIGH, 30_300);
  low.offers.onTimeout(60_000);
  t.is(low.take().length, 6);
  t.is(low.offers.nextTimeout(), 90_000);
  low.offers.onTimeout(90_500);
  t.is(low.offers.nextTimeout(), undefined);
  t.deepEqual([low.take().length, low.indexes.used], [0, 0]);
  low.offers.onNeed(HIGH, 91_000);
  low.offers.onTimeout(91_000);
  t.is(low.take().length, 1);
});

test('a peer whose key changed leaves no timer behind that is due for ever', (t) => {
  const [low, high] = pair();
  low.take();
  low.offers.onPeer({ ...high.remote, uid: new Uint8Array(8), staticKey: new Uint8Array(32).fill(9) }, 100);
  low.offers.onNeed(HIGH, 400);
  for (const now of [2_100, 6_100, 14_100, 30_100]) low.offers.onTimeout(now);
  t.is(low.offers.nextTimeout(), 60_100);
  low.offers.onTimeout(60_500);
  t.is(low.offers.nextTimeout(), undefined);
});
