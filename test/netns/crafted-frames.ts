import { foldChecksum, onesSum } from '../../router/wire/checksum.ts';

/** Frames as nobody's kernel makes them, field by field, for those who must carry them unchanged. */

export interface Crafted {
  readonly what: string;
  readonly frame: Uint8Array;
  /** Where the transport header begins, and its checksum within; only where the sender's kernel has a part in it. */
  readonly transport?: number;
  readonly checksum?: number;
  /** Payload bytes of each segment that a super-frame is cut into. */
  readonly chunk?: number;
}

export interface Addresses {
  readonly to: Uint8Array;
  readonly from: Uint8Array;
}

interface Packet {
  readonly etherType: number;
  readonly bytes: Uint8Array;
}

interface Ip {
  readonly family: 4 | 6;
  readonly protocol: number;
  /** Flags and fragment offset of IPv4. */
  readonly fragment?: number;
  /** Of IPv4. */
  readonly options?: number;
  /** Extension headers of IPv6, the first of kind `protocol`. */
  readonly extensions?: Uint8Array;
}

const UDP = 17;
const TCP = 6;
const SCTP = 132;
const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
const ACK = 0x10;
const TCP_HEADER = 20;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const PACKET_BYTES = 1_388;

export function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255);
}

function joined(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function ethernet(
  { to, from }: Addresses,
  tags: readonly number[],
  { etherType, bytes }: Packet,
): Uint8Array {
  const types = [...tags.flatMap((tag) => [tag >> 24, tag >> 16, tag >> 8, tag]), etherType >> 8, etherType];
  return joined(to, from, types, bytes);
}

function ip({ family, protocol, fragment = 0, options = 0, extensions }: Ip, payload: Uint8Array): Packet {
  if (family === 6) {
    const rest = joined(extensions ?? [], payload);
    const header = [0x60, 1, 2, 3, rest.length >> 8, rest.length, protocol, 64];
    return { etherType: 0x86dd, bytes: joined(header, pseudoAddresses(6), rest) };
  }
  const length = 20 + options + payload.length;
  const words = [
    0x45 + options / 4,
    0,
    length >> 8,
    length,
    0x12,
    0x34,
    fragment >> 8,
    fragment,
    64,
    protocol,
    0,
    0,
  ];
  const header = joined(words, pseudoAddresses(4), Array<number>(options).fill(1));
  const sum = foldChecksum(onesSum(header, 0, header.length));
  header.set([sum >> 8, sum & 255], 10);
  return { etherType: 0x0800, bytes: joined(header, payload) };
}

function pseudoAddresses(family: 4 | 6): Uint8Array {
  if (family === 4) return Uint8Array.of(10, 40, 9, 9, 10, 40, 9, 10);
  const of = (last: number) => [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, last];
  return joined(of(9), of(10));
}

/** The sum of the pseudo-header, as a "partial" checksum holds it. */
function pseudoSum(addresses: Uint8Array, protocol: number, length: number): number {
  return ~foldChecksum(onesSum(addresses, 0, addresses.length, protocol + length)) & 0xffff;
}

function transport(
  family: 4 | 6,
  protocol: number,
  header: number[],
  payload: Uint8Array,
  whole: boolean,
): Uint8Array {
  const bytes = joined(header, payload);
  const at = protocol === TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
  const pseudo = pseudoSum(pseudoAddresses(family), protocol, bytes.length);
  const sum = whole ? foldChecksum(onesSum(bytes, 0, bytes.length, pseudo)) : pseudo;
  bytes.set([sum >> 8, sum & 255], at);
  return bytes;
}

function udp(family: 4 | 6, payload: Uint8Array, whole = true): Uint8Array {
  const length = 8 + payload.length;
  return transport(family, UDP, [0x9c, 0x40, 0x13, 0x89, length >> 8, length, 0, 0], payload, whole);
}

let ports = 0;

/** Each of another connection, so that nobody joins two of them. */
function tcp(family: 4 | 6, flags: number, payload: Uint8Array, whole = true): Uint8Array {
  const port = 20_000 + ports++;
  const header = [port >> 8, port, 0x13, 0x89, 0, 0, 3, 232, 1, 2, 3, 4, 5 << 4, flags, 1, 245, 0, 0, 0, 0];
  return transport(family, TCP, header, payload, whole);
}

/**
 * Valid ones arrive as they are, and so do those that are not: nothing is mended on the way. Without IP packets that
 * are longer or shorter than they say: br_netfilter trims and drops them at the bridges.
 */
export function exactFrames(addresses: Addresses): Crafted[] {
  const crafted: Crafted[] = [];
  const add = (what: string, packet: Packet, tags: readonly number[] = []): void => {
    crafted.push({ what, frame: ethernet(addresses, tags, packet) });
  };
  for (const family of [4, 6] as const) {
    const header = family === 4 ? 20 : 40;
    for (const size of [0, 1, 2, 3, 100, 999, PACKET_BYTES - header - 8])
      add(
        `UDP over IPv${family} of ${size} bytes`,
        ip({ family, protocol: UDP }, udp(family, bytesOf(size))),
      );
    for (const flags of [ACK, ACK | 1, ACK | 8, 2, 4, ACK | 0x20, ACK | 0x80])
      add(
        `TCP over IPv${family}, flags ${flags}`,
        ip({ family, protocol: TCP }, tcp(family, flags, bytesOf(333))),
      );
    for (const protocol of [UDP, TCP, SCTP, 50, 253])
      add(
        `noise as protocol ${protocol} over IPv${family}`,
        ip({ family, protocol }, bytesOf(600 + protocol)),
      );
    for (const tags of TAG_STACKS)
      add(
        `UDP over IPv${family} behind ${tags.length} tags`,
        ip({ family, protocol: UDP }, udp(family, bytesOf(500))),
        tags,
      );
    add(`SCTP over IPv${family} behind a tag`, ip({ family, protocol: SCTP }, bytesOf(700)), TAG_STACKS[0]);
    add(
      `a tagged packet of the MTU over IPv${family}`,
      ip({ family, protocol: TCP }, tcp(family, ACK, bytesOf(PACKET_BYTES - header - 20))),
      TAG_STACKS[0],
    );
  }
  addOddities(add);
  return crafted;
}

const TAG_STACKS = [[0x81000005], [0x88a80007, 0x81000005], [0x81000003, 0x81000004, 0x81000005]] as const;

function addOddities(add: (what: string, packet: Packet) => void): void {
  const noChecksum = udp(4, bytesOf(50));
  noChecksum.fill(0, UDP_CHECKSUM, UDP_CHECKSUM + 2);
  add('UDP without a checksum', ip({ family: 4, protocol: UDP }, noChecksum));
  for (const options of [4, 40]) {
    add(
      `UDP behind ${options} bytes of options`,
      ip({ family: 4, protocol: UDP, options }, udp(4, bytesOf(80))),
    );
    add(
      `TCP behind ${options} bytes of options`,
      ip({ family: 4, protocol: TCP, options }, tcp(4, ACK, bytesOf(81))),
    );
  }
  for (const fragment of [DONT_FRAGMENT, 0x8000, MORE_FRAGMENTS, MORE_FRAGMENTS | 90, 180])
    add(
      `flags and fragment offset ${fragment}`,
      ip({ family: 4, protocol: UDP, fragment }, udp(4, bytesOf(720))),
    );
  for (const [what, first, extensions] of EXTENSIONS) {
    add(
      `UDP behind ${what}`,
      ip({ family: 6, protocol: first, extensions: joined([UDP], extensions) }, udp(6, bytesOf(77))),
    );
    add(
      `TCP behind ${what}`,
      ip({ family: 6, protocol: first, extensions: joined([TCP], extensions) }, tcp(6, ACK, bytesOf(78))),
    );
  }
  add('an unknown EtherType', { etherType: 0x88b5, bytes: bytesOf(46) });
  add('a length in place of the EtherType', { etherType: 0x0030, bytes: bytesOf(48) });
}

/** Without their first byte, which names the next header. */
const EXTENSIONS: readonly (readonly [string, number, readonly number[]])[] = [
  ['hop-by-hop options', 0, [0, 1, 4, 0, 0, 0, 0]],
  ['destination options', 60, [0, 1, 4, 0, 0, 0, 0]],
  ['a fragment header', 44, [0, 0, 1, 0, 0, 0, 7]],
];

/** The sender's kernel left the checksum to whoever needs it. */
export function partialFrames(addresses: Addresses): Crafted[] {
  return ([4, 6] as const).flatMap((family) =>
    [[], ...TAG_STACKS.slice(0, 2)].flatMap((tags) =>
      [1, 2, 901, 1_200].flatMap((size) => {
        const at = 14 + 4 * tags.length + (family === 4 ? 20 : 40);
        const where = `over IPv${family} behind ${tags.length} tags, ${size} bytes`;
        const frame = (protocol: number, bytes: Uint8Array) =>
          ethernet(addresses, tags, ip({ family, protocol }, bytes));
        return [
          {
            what: `partial UDP ${where}`,
            frame: frame(UDP, udp(family, bytesOf(size), false)),
            transport: at,
            checksum: UDP_CHECKSUM,
          },
          {
            what: `partial TCP ${where}`,
            frame: frame(TCP, tcp(family, ACK, bytesOf(size), false)),
            transport: at,
            checksum: TCP_CHECKSUM,
          },
        ];
      }),
    ),
  );
}

/** TCP super-frames, to be cut. */
export function superFrames(addresses: Addresses): Crafted[] {
  return ([4, 6] as const).flatMap((family) =>
    [[], ...TAG_STACKS.slice(0, 2)].flatMap((tags) =>
      [
        [1_001, 1_000],
        [10_000, 1_300],
        [30_003, 536],
        [60_000, 1_300],
      ].map(([size, chunk]) => ({
        what: `super-frame over IPv${family} behind ${tags.length} tags, ${size} bytes in segments of ${chunk}`,
        frame: ethernet(
          addresses,
          tags,
          ip({ family, protocol: TCP }, tcp(family, ACK | 8, bytesOf(size!), false)),
        ),
        transport: 14 + 4 * tags.length + (family === 4 ? 20 : 40),
        checksum: TCP_CHECKSUM,
        chunk: chunk!,
      })),
    ),
  );
}

/** A super-frame of more segments than any host makes, and one that is as it should be. */
export function shredded(addresses: Addresses): readonly [Crafted, Crafted] {
  const [, whole] = superFrames(addresses) as [Crafted, Crafted];
  return [{ ...whole, what: 'segments of four bytes', chunk: 4 }, whole];
}

/** As inject.c reads it: length, virtio-net header, frame. */
export function record({ frame, transport, checksum, chunk }: Crafted): Uint8Array {
  const header = new DataView(new ArrayBuffer(14));
  header.setUint32(0, 10 + frame.length, true);
  if (transport !== undefined && checksum !== undefined) {
    header.setUint8(4, 1);
    header.setUint16(10, transport, true);
    header.setUint16(12, checksum, true);
    if (chunk !== undefined) {
      header.setUint8(5, frame[transport - 40 - 2] === 0x86 ? 4 : 1);
      header.setUint16(6, transport + TCP_HEADER, true);
      header.setUint16(8, chunk, true);
    }
  }
  return joined(new Uint8Array(header.buffer), frame);
}

/** Where the payload of a super-frame, or of a segment of it, begins. */
export function payloadAt({ transport = 0 }: Crafted): number {
  return transport + TCP_HEADER;
}

/**
 * Checksums that a frame of the same headers may bear: of the pseudo-header alone, since what comes by way of the mesh
 * is vouched for, or of everything.
 */
export function sumsOf({ transport = 0, checksum = 0 }: Crafted, frame: Uint8Array): number[] {
  // Looked for where no address lies, whose bytes are drawn.
  const family = frame[transport - 20 - 2] === 0x08 && frame[transport - 20 - 1] === 0x00 ? 4 : 6;
  const protocol = checksum === TCP_CHECKSUM ? TCP : UDP;
  const segment = frame.slice(transport);
  segment.fill(0, checksum, checksum + 2);
  const pseudo = pseudoSum(pseudoAddresses(family), protocol, segment.length);
  return [pseudo, foldChecksum(onesSum(segment, 0, segment.length, pseudo))];
}

export function withSum(
  { transport = 0, checksum = 0 }: Crafted,
  frame: Uint8Array,
  sum: number,
): Uint8Array {
  const bytes = frame.slice();
  bytes.set([sum >> 8, sum & 255], transport + checksum);
  return bytes;
}
