import type { Endpoint } from '../core/address.ts';
import { fromHex, toHex } from '../core/bytes.ts';
import { pack } from '../core/msgpack.ts';
import { PEER_NAME_BYTES, readPeerName, writePeerName, type PeerName } from '../core/peer-name.ts';
import { MalformedDelta } from './channel.ts';
import { blob, decoded, flag, list, text, tuple, uint } from './checked-fields.ts';
import { decodeEndpoint, encodeEndpoint } from './topology-codec.ts';
import { MAX_INCARNATION, MAX_NICKNAME } from './topology-entry.ts';

/*
 * Messages of the control connection: a MessagePack array, [ type, fields... ]. A type that is not listed here is
 * ignored, so that a later version may add some; a listed one with other fields is malformed.
 */

/** The largest payload of a unicast, bytes. */
export const MAX_UNICAST = 65_536;
/** The largest delta, bytes; a message is at most 1 MiB. */
export const MAX_DELTA = 1_000_000;
/** The longest kind of a unicast, characters. */
export const MAX_KIND = 32;
const MAX_CHANNEL = 32;
const MAX_CHANNELS = 16;
const MAX_SID = 64;
const MAX_REASON = 32;
const MAX_SENTENCE = 256;
export const MAX_VERSION_TEXT = 64;
const MAX_TTL = 255;
const UID_BYTES = 8;
const ROOT_BYTES = 8;
const BUCKET_BYTES = 128;

/** The first message in each direction. */
export interface Hello {
  readonly type: 'hello';
  readonly name: PeerName;
  readonly nickname: string;
  readonly uid: string;
  readonly incarnation: number;
  /** Of the software. */
  readonly version: string;
  /** Sid of the connection that this one is to replace; empty if none. */
  readonly replaces: Uint8Array;
  /** The control port that the sender listens on. */
  readonly port: number;
  readonly acceptsInbound: boolean;
  /** The address that the sender sees the receiver at. */
  readonly seenAt: Endpoint;
}

export interface ChannelRoot {
  readonly channel: string;
  readonly root: Uint8Array;
}

export interface Unicast {
  readonly type: 'unicast';
  readonly from: PeerName;
  readonly to: PeerName;
  /** Hops left. */
  readonly ttl: number;
  readonly kind: string;
  readonly bytes: Uint8Array;
}

export type Message =
  | Hello
  | { readonly type: 'gossip'; readonly channel: string; readonly delta: Uint8Array }
  /** Periodic digest of all channels. */
  | { readonly type: 'digest'; readonly roots: readonly ChannelRoot[] }
  /** Hashes of 16 buckets. `mutual`: the receiver has sent or sends its own, so nobody needs to ask. */
  | {
      readonly type: 'buckets';
      readonly channel: string;
      readonly buckets: Uint8Array;
      readonly mutual: boolean;
    }
  /** Please send the entries of these buckets (16 bits). */
  | { readonly type: 'want'; readonly channel: string; readonly buckets: number }
  /** What the sender has, by its channel, for the receiver to ask for. */
  | { readonly type: 'have'; readonly channel: string; readonly announcement: Uint8Array }
  | { readonly type: 'ask'; readonly channel: string; readonly request: Uint8Array }
  | Unicast
  | { readonly type: 'heartbeat' }
  /** The sender closes the connection. `reason` is for programs, `sentence` for people. */
  | { readonly type: 'bye'; readonly reason: string; readonly sentence: string }
  /** The password of this connection is no longer held: please dial again. */
  | { readonly type: 'remake' }
  /** The sender does not need this connection: the receiver ends it, or answers `keep` if it does. */
  | { readonly type: 'spare' }
  | { readonly type: 'keep' };

/** What a neighbour sends for more than its connection. */
export type NeighbourMessage = Extract<
  Message,
  { type: 'gossip' | 'digest' | 'buckets' | 'want' | 'have' | 'ask' | 'unicast' | 'spare' | 'keep' }
>;

/** A message, one of a type that we do not know, or the field that made it malformed. */
export type ParsedMessage =
  | { readonly type: 'message'; readonly message: Message }
  | { readonly type: 'unknown' }
  | { readonly type: 'malformed'; readonly field: string };

export function parseMessage(bytes: Uint8Array): ParsedMessage {
  try {
    const fields = list(decoded(bytes), 16, 'message');
    const parse = PARSERS[uint(fields[0], 255, 'message type')];
    return parse === undefined ? { type: 'unknown' } : { type: 'message', message: parse(fields) };
  } catch (error) {
    if (error instanceof MalformedDelta) return { type: 'malformed', field: error.message };
    throw error;
  }
}

/** Messages without fields. */
const bareTypes = { heartbeat: 7, remake: 9, spare: 10, keep: 11 } as const;

export function encodeMessage(message: Message): Uint8Array {
  switch (message.type) {
    case 'hello':
      return encodeHello(message);
    case 'gossip':
      return pack([2, message.channel, message.delta]);
    case 'digest':
      return pack([3, message.roots.map(({ channel, root }) => [channel, root])]);
    case 'buckets':
      return pack([4, message.channel, message.buckets, message.mutual]);
    case 'want':
      return pack([5, message.channel, message.buckets]);
    case 'unicast':
      return encodeUnicast(message);
    case 'bye':
      return pack([8, message.reason.slice(0, MAX_REASON), message.sentence.slice(0, MAX_SENTENCE)]);
    case 'have':
      return pack([12, message.channel, message.announcement]);
    case 'ask':
      return pack([13, message.channel, message.request]);
    default:
      return pack([bareTypes[message.type]]);
  }
}

type Parser = (fields: readonly unknown[]) => Message;

const PARSERS: Readonly<Record<number, Parser>> = {
  1: parseHello,
  2: (fields) => {
    const [, channel, delta] = tuple(fields, 3, 'gossip');
    return { type: 'gossip', channel: channelName(channel), delta: blob(delta, 1, MAX_DELTA, 'delta') };
  },
  3: (fields) => {
    const [, roots] = tuple(fields, 2, 'digest');
    return { type: 'digest', roots: list(roots, MAX_CHANNELS, 'digest').map(parseRoot) };
  },
  4: (fields) => {
    const [, channel, buckets, mutual] = tuple(fields, 4, 'buckets');
    return {
      type: 'buckets',
      channel: channelName(channel),
      buckets: blob(buckets, BUCKET_BYTES, BUCKET_BYTES, 'buckets'),
      mutual: flag(mutual, 'buckets'),
    };
  },
  5: (fields) => {
    const [, channel, buckets] = tuple(fields, 3, 'want');
    return { type: 'want', channel: channelName(channel), buckets: uint(buckets, 0xffff, 'want') };
  },
  6: parseUnicast,
  [bareTypes.heartbeat]: bare('heartbeat'),
  8: (fields) => {
    const [, reason, sentence] = tuple(fields, 3, 'bye');
    return {
      type: 'bye',
      reason: text(reason, MAX_REASON, 'bye'),
      sentence: text(sentence, MAX_SENTENCE, 'bye'),
    };
  },
  [bareTypes.remake]: bare('remake'),
  [bareTypes.spare]: bare('spare'),
  [bareTypes.keep]: bare('keep'),
  12: (fields) => {
    const [, channel, bytes] = tuple(fields, 3, 'have');
    return { type: 'have', channel: channelName(channel), announcement: blob(bytes, 1, MAX_DELTA, 'have') };
  },
  13: (fields) => {
    const [, channel, bytes] = tuple(fields, 3, 'ask');
    return { type: 'ask', channel: channelName(channel), request: blob(bytes, 1, MAX_DELTA, 'ask') };
  },
};

function bare(type: keyof typeof bareTypes): Parser {
  return (fields) => {
    tuple(fields, 1, type);
    return { type };
  };
}

function encodeHello(hello: Hello): Uint8Array {
  return pack([
    1,
    nameBytes(hello.name),
    hello.nickname,
    fromHex(hello.uid),
    hello.incarnation,
    hello.version,
    hello.replaces,
    hello.port,
    hello.acceptsInbound,
    encodeEndpoint(hello.seenAt),
  ]);
}

function parseHello(fields: readonly unknown[]): Hello {
  const [, name, nickname, uid, incarnation, version, replaces, port, acceptsInbound, seenAt] = tuple(
    fields,
    10,
    'hello',
  );
  return {
    type: 'hello',
    name: peerName(name),
    nickname: text(nickname, MAX_NICKNAME, 'nickname'),
    uid: toHex(blob(uid, UID_BYTES, UID_BYTES, 'uid')),
    incarnation: uint(incarnation, MAX_INCARNATION, 'incarnation'),
    version: text(version, MAX_VERSION_TEXT, 'version'),
    replaces: Uint8Array.from(blob(replaces, 0, MAX_SID, 'replaces')),
    port: uint(port, 65_535, 'port'),
    acceptsInbound: flag(acceptsInbound, 'accepts inbound'),
    seenAt: decodeEndpoint(seenAt),
  };
}

function encodeUnicast(unicast: Unicast): Uint8Array {
  const { from, to, ttl, kind, bytes } = unicast;
  return pack([6, nameBytes(from), nameBytes(to), ttl, kind, bytes]);
}

function parseUnicast(fields: readonly unknown[]): Unicast {
  const [, from, to, ttl, kind, bytes] = tuple(fields, 6, 'unicast');
  return {
    type: 'unicast',
    from: peerName(from),
    to: peerName(to),
    ttl: uint(ttl, MAX_TTL, 'ttl'),
    kind: text(kind, MAX_KIND, 'kind'),
    bytes: blob(bytes, 0, MAX_UNICAST, 'unicast'),
  };
}

function parseRoot(value: unknown): ChannelRoot {
  const [channel, root] = tuple(value, 2, 'digest');
  return { channel: channelName(channel), root: blob(root, ROOT_BYTES, ROOT_BYTES, 'digest') };
}

function channelName(value: unknown): string {
  return text(value, MAX_CHANNEL, 'channel');
}

function peerName(value: unknown): PeerName {
  return readPeerName(blob(value, PEER_NAME_BYTES, PEER_NAME_BYTES, 'peer name'), 0);
}

function nameBytes(name: PeerName): Uint8Array {
  const out = new Uint8Array(PEER_NAME_BYTES);
  writePeerName(name, out, 0);
  return out;
}
