import { concatBytes } from '../../core/bytes.ts';
import { SeededRandom } from '../../core/random.ts';
import { sharedElement } from '../../router/crypto/cpace.ts';
import { NoiseIkInitiator, NoiseIkResponder } from '../../router/crypto/noise-ik.ts';
import { parsePayload } from '../../router/link/handshake-payload.ts';
import { ChannelPair, End, type Role } from '../router/crypto/channel-pair.ts';
import { fakePrimitives } from '../sim/fake-primitives.ts';
import * as samples from './samples.ts';
import { OUTSIDE, promise, TAKEN, type Target, type Verdict } from './target.ts';
import { playedSodium as sodium } from '../router/crypto/played-primitives.ts';

const passwords = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5)];
const SEED = 1;

/**
 * One end of a control connection that gets the whole stream of the other end: preamble, exchange, sealed frames. Its
 * randomness is always the same, so that the stream of the sample is valid each time. The cryptography is the fake one,
 * which refuses what the real one refuses and costs little.
 */
function channel(role: Role, held: readonly Uint8Array[]): Target {
  const other: Role = role === 'dialler' ? 'acceptor' : 'dialler';
  const pair = new ChannelPair(
    fakePrimitives,
    { passwords: held },
    { passwords: held },
    undefined,
    SEED,
  ).run();
  for (const message of samples.controlMessages.slice(0, 3)) pair[other].channel.send(message);
  pair.run();
  const run = (input: Uint8Array): Verdict => {
    const end = new End(role, fakePrimitives, { passwords: held }, role === 'dialler' ? SEED : SEED + 1_000);
    end.drain();
    const cut = input.length >> 1;
    for (const piece of [input.subarray(0, cut), input.subarray(cut)]) {
      end.channel.onBytes(piece, 0);
      end.drain();
    }
    promise(end.opened !== undefined || end.messages.length === 0, 'a message before the channel was open');
    promise(end.written.length <= 4_096, 'more was written than a handshake needs');
    promise(end.reports.filter(({ type }) => type === 'failed').length <= 1, 'it failed twice');
    return verdictOf(end);
  };
  const name = `channel-${role}-${held.length === 0 ? 'clear' : 'sealed'}`;
  return { name, samples: [pair[other].written], shape: 'bytes', weight: 30, run };
}

function verdictOf(end: End): Verdict {
  const { failure } = end;
  if (end.opened === undefined) return `${OUTSIDE}${failure ?? 'incomplete'}`;
  return failure ?? TAKEN;
}

/** Frames that libsodium opens: each input is one after the header. */
function secretStream(): Target {
  const [key, header] = [new Uint8Array(32).fill(7), new Uint8Array(24).fill(9)];
  const sealed = samples.controlMessages
    .slice(0, 8)
    .map((message) => sodium.sealStream(key, header).seal(message));
  const run = (input: Uint8Array): Verdict => {
    const opener = sodium.openStream(key, header);
    const message = opener.open(input);
    opener.wipe();
    return message === undefined ? `${OUTSIDE}forged` : TAKEN;
  };
  return { name: 'secretstream', samples: sealed, shape: 'bytes', weight: 20, run };
}

/** An element of the other end, with real curve arithmetic: milliseconds. */
const element: Target = {
  name: 'cpace-element',
  samples: [
    // The generator of ristretto255 (RFC 9496).
    Uint8Array.from(Buffer.from('e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76', 'hex')),
  ],
  shape: 'bytes',
  weight: 1,
  run: (input) => {
    const shared = sharedElement(new Uint8Array(32).fill(3), input);
    promise(shared === undefined || shared.some((byte) => byte !== 0), 'the identity');
    return shared === undefined ? `${OUTSIDE}refused` : TAKEN;
  },
};

const prologue = Uint8Array.of(1);
const keys = [5, 6].map((fill) => sodium.keyPairFromSeed(new Uint8Array(32).fill(fill)));

/** Message 1 of Noise IK with real cryptography, as whoever routes an offer may change it. */
function noiseResponder(): Target {
  const [initiator, responder] = [keys[0]!, keys[1]!];
  const valid = samples.payloads.map((payload) =>
    new NoiseIkInitiator(
      { primitives: sodium, staticKey: initiator, prologue },
      responder.public,
      new Uint8Array(32).fill(8),
    ).writeMessage1(payload)!,
  );
  const run = (input: Uint8Array): Verdict => {
    const noise = new NoiseIkResponder({ primitives: sodium, staticKey: responder, prologue });
    const read = noise.readMessage1(input);
    if (read === undefined) return `${OUTSIDE}undecipherable`;
    return parsePayload(read.payload) === undefined ? 'malformed' : TAKEN;
  };
  return { name: 'noise-message-1', samples: valid, shape: 'bytes', weight: 2, run };
}

/** A payload that a member sealed properly, whatever is in it. */
function noisePayload(): Target {
  const [initiator, responder] = [keys[0]!, keys[1]!].map(({ secret }) =>
    fakePrimitives.keyPairFromSeed(secret),
  );
  const run = (input: Uint8Array): Verdict => {
    const common = { primitives: fakePrimitives, prologue };
    const seed = new SeededRandom(1).bytes(32);
    const sealer = new NoiseIkInitiator({ ...common, staticKey: initiator! }, responder!.public, seed);
    const message = sealer.writeMessage1(concatBytes(input.subarray(0, 4_000)))!;
    const read = new NoiseIkResponder({ ...common, staticKey: responder! }).readMessage1(message);
    promise(read !== undefined, 'what was sealed properly is not opened');
    return parsePayload(read!.payload) === undefined ? 'malformed' : TAKEN;
  };
  return { name: 'noise-payload', samples: samples.payloads, shape: 'bytes', weight: 30, run };
}

export function channelTargets(): Target[] {
  return [
    channel('dialler', passwords.slice(0, 1)),
    channel('acceptor', passwords),
    channel('acceptor', []),
    ...[secretStream(), element, noiseResponder(), noisePayload()],
  ];
}
