import { constants } from 'node:os';
import { concatBytes } from '../../core/bytes.ts';
import type { KernelStep } from './kernel.ts';
import { macBytes } from './mac-address.ts';
import type { MacText } from './mac-address.ts';
import {
  ACKNOWLEDGED,
  attribute,
  CREATE,
  EXCLUSIVE,
  message,
  nested,
  parseAttributes,
  parseMessages,
  readText,
  readU32,
  text,
  u16,
  u32,
  u8,
} from './netlink-message.ts';

/** Messages about interfaces (rtnetlink(7), linux/if_link.h). Names are checked by the caller. */

const { EAFNOSUPPORT, ENODEV } = constants.errno;

const TYPES = { make: 16, remove: 17, find: 18, change: 19 } as const;
const ATTRIBUTES = {
  address: 1,
  name: 3,
  mtu: 4,
  peer: 5,
  master: 10,
  state: 16,
  kind: 18,
  families: 26,
  namespace: 28,
  largestSuperFrame: 41,
} as const;
/** Within `kind`. */
const KIND = { name: 1, data: 2, portKind: 4, portData: 5 } as const;
const VETH_PEER = 1;
const BRIDGE = { forwardDelay: 1, spanningTree: 5, multicastSnooping: 23, options: 46 } as const;
/** A bit among the bridge's options. */
const NO_LINK_LOCAL_LEARNING = 1;
const PORT = { hairpin: 4, learning: 8, flood: 9 } as const;
const AF_UNSPEC = 0;
const AF_INET6 = 10;
const INET6_ADDRESS_MODE = 8;
const NO_ADDRESSES = 1;
const IFF_UP = 1;
const FIXED_PART = 16;
/** RFC 2863: the state of an interface that is up and has a carrier. */
const OPERATIONAL = 6;

/** One end of a pair. */
export interface PairEnd {
  readonly name: string;
  readonly mac: MacText;
}

interface PairOptions {
  /** Bytes. */
  readonly mtu: number;
  /** Bytes that TCP may hand over at once. */
  readonly largestSuperFrame: number;
  /** Index of the bridge that the outer end becomes a port of. */
  readonly bridge: number;
  /** A descriptor of the namespace that the inner end is made in. */
  readonly namespace: number;
}

export interface LinkState {
  readonly index: number;
  /** Of a veth: the index of the other end in its namespace. */
  readonly peer: number | undefined;
  /** Up, with a carrier; only then does a bridge port forward. */
  readonly operational: boolean;
}

/** The kernel makes both ends, the port and its place in the other namespace, or nothing. */
export function makePair(outer: PairEnd, inner: PairEnd, options: PairOptions): KernelStep {
  const size = concatBytes(
    attribute(ATTRIBUTES.mtu, u32(options.mtu)),
    attribute(ATTRIBUTES.largestSuperFrame, u32(options.largestSuperFrame)),
  );
  const place = attribute(ATTRIBUTES.namespace, u32(options.namespace));
  const peer = nested(VETH_PEER, fixedPart({}), endAttributes(inner), size, place);
  const kind = nested(ATTRIBUTES.kind, attribute(KIND.name, text('veth')), nested(KIND.data, peer));
  const master = attribute(ATTRIBUTES.master, u32(options.bridge));
  const attributes = [endAttributes(outer), size, master, kind];
  return {
    what: `make the interface ${inner.name} and its host end ${outer.name}`,
    kind: 'route',
    request: message(TYPES.make, ACKNOWLEDGED | CREATE | EXCLUSIVE, fixedPart({}), ...attributes),
  };
}

/** An interface by its place among the others. */
export interface LinkPlace {
  readonly index: number;
  /** "veth", "bridge", "tun"; undefined for hardware. */
  readonly kind: string | undefined;
  /** Index of the bridge that it is a port of. */
  readonly master: number | undefined;
}

/** Its state comes in answer: {@link readLink}. */
export function findLink(name: string): KernelStep {
  return change(`find the interface ${name}`, TYPES.find, name);
}

/** One that is not there is no failure: {@link readLinks} does not have it then. */
export function lookForLink(name: string): KernelStep {
  return { ...findLink(name), tolerated: ENODEV };
}

/** One that is not there is no failure. */
export function removeLink(name: string): KernelStep {
  return { ...change(`remove the interface ${name}`, TYPES.remove, name), tolerated: ENODEV };
}

export function setUp(name: string): KernelStep {
  return change(`set the interface ${name} up`, TYPES.change, name, { up: true });
}

export function setMaster(name: string, bridge: number): KernelStep {
  const master = attribute(ATTRIBUTES.master, u32(bridge));
  return change(`make the interface ${name} a port of the bridge`, TYPES.change, name, {}, master);
}

/** As {@link setMaster}; one that is gone meanwhile is no failure. */
export function moveTo(name: string, bridge: number): KernelStep {
  return { ...setMaster(name, bridge), tolerated: ENODEV };
}

/** Told its MAC again, an interface announces its addresses, if it is set so. */
export function setMac(name: string, mac: MacText): KernelStep {
  const address = attribute(ATTRIBUTES.address, macBytes(mac));
  return change(`announce the addresses of the interface ${name}`, TYPES.change, name, {}, address);
}

/** No link-local address; nothing to do where the interface has no IPv6. */
export function setNoOwnAddresses(name: string): KernelStep {
  const mode = nested(AF_INET6, attribute(INET6_ADDRESS_MODE, u8(NO_ADDRESSES)));
  const families = nested(ATTRIBUTES.families, mode);
  const what = `keep the interface ${name} from giving itself addresses`;
  return { ...change(what, TYPES.change, name, {}, families), tolerated: EAFNOSUPPORT };
}

/** Frames may leave the bridge by the port that they came in by. */
export function setHairpin(name: string): KernelStep {
  return changePort(`set the hairpin mode of the port ${name}`, name, attribute(PORT.hairpin, u8(1)));
}

/** Frames never go back out of the port, which learns and floods. */
export function setMeshPort(name: string): KernelStep {
  const [hairpin, learning, flood] = [PORT.hairpin, PORT.learning, PORT.flood].map((type, i) =>
    attribute(type, u8(i === 0 ? 0 : 1)),
  );
  return changePort(`set what the port ${name} floods`, name, hairpin!, learning!, flood!);
}

/** An empty bridge, which is not up; refused if an interface of that name is there. */
export function makeBridge(name: string, mac: MacText): KernelStep {
  const kind = nested(ATTRIBUTES.kind, attribute(KIND.name, text('bridge')));
  const attributes = [endAttributes({ name, mac }), kind];
  return {
    what: `make the bridge ${name}`,
    kind: 'route',
    request: message(TYPES.make, ACKNOWLEDGED | CREATE | EXCLUSIVE, fixedPart({}), ...attributes),
  };
}

/**
 * Sets up a bridge of the mesh. Without snooping every multicast frame floods, as the far side of the mesh has no querier
 * to learn from. Frames to 01:80:c2:00:00:0x end at the bridge before any rule sees them: nothing is to be learnt from them.
 */
export function setUpBridge(name: string, mac: MacText, mtu: number): KernelStep {
  const data = nested(
    KIND.data,
    attribute(BRIDGE.forwardDelay, u32(0)),
    attribute(BRIDGE.spanningTree, u32(0)),
    attribute(BRIDGE.multicastSnooping, u8(0)),
    attribute(BRIDGE.options, u32(NO_LINK_LOCAL_LEARNING), u32(NO_LINK_LOCAL_LEARNING)),
  );
  return change(
    `set the bridge ${name} up`,
    TYPES.make,
    name,
    { up: true },
    attribute(ATTRIBUTES.address, macBytes(mac)),
    attribute(ATTRIBUTES.mtu, u32(mtu)),
    nested(ATTRIBUTES.kind, attribute(KIND.name, text('bridge')), data),
  );
}

/** Bytes. */
export function setMtu(name: string, mtu: number): KernelStep {
  return change(
    `set the MTU of the interface ${name} to ${mtu}`,
    TYPES.change,
    name,
    {},
    attribute(ATTRIBUTES.mtu, u32(mtu)),
  );
}

/** The interface that {@link findLink} found; undefined if `replies` tell of none. */
export function readLink(replies: Uint8Array): LinkState | undefined {
  const found = parseMessages(replies).find(({ type }) => type === TYPES.make);
  const index = readU32(found?.body, 4);
  if (found === undefined || index === undefined) return undefined;
  const attributes = parseAttributes(found.body, FIXED_PART);
  const operational = attributes.get(ATTRIBUTES.state)?.[0] === OPERATIONAL;
  return { index, peer: readU32(attributes.get(ATTRIBUTES.peer)), operational };
}

/** By name, the interfaces that `replies` tell of. */
export function readLinks(replies: Uint8Array): Map<string, LinkPlace> {
  const found = parseMessages(replies).filter(({ type }) => type === TYPES.make);
  return new Map(
    found.flatMap(({ body }): [string, LinkPlace][] => {
      const index = readU32(body, 4);
      const attributes = parseAttributes(body, FIXED_PART);
      const name = readText(attributes.get(ATTRIBUTES.name));
      if (index === undefined || name === undefined) return [];
      const kind = parseAttributes(attributes.get(ATTRIBUTES.kind) ?? new Uint8Array(0), 0).get(KIND.name);
      return [[name, { index, kind: readText(kind), master: readU32(attributes.get(ATTRIBUTES.master)) }]];
    }),
  );
}

function changePort(what: string, name: string, ...data: readonly Uint8Array[]): KernelStep {
  const kind = nested(
    ATTRIBUTES.kind,
    attribute(KIND.portKind, text('bridge')),
    nested(KIND.portData, ...data),
  );
  return change(what, TYPES.make, name, {}, kind);
}

function change(
  what: string,
  type: number,
  name: string,
  flags: { readonly up?: boolean } = {},
  ...attributes: readonly Uint8Array[]
): KernelStep {
  const named = attribute(ATTRIBUTES.name, text(name));
  return {
    what,
    kind: 'route',
    request: message(type, ACKNOWLEDGED, fixedPart(flags), named, ...attributes),
  };
}

/** family u8 | 0 u8 | hardware u16 | index u32 | flags u32 | which of them u32; by name, so without an index. */
function fixedPart({ up = false }: { readonly up?: boolean }): Uint8Array {
  const flags = u32(up ? IFF_UP : 0);
  return concatBytes(u8(AF_UNSPEC), u8(0), u16(0), u32(0), flags, flags);
}

function endAttributes({ name, mac }: PairEnd): Uint8Array {
  return concatBytes(attribute(ATTRIBUTES.name, text(name)), attribute(ATTRIBUTES.address, macBytes(mac)));
}
