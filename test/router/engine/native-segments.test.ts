import test from 'ava';
import fc from 'fast-check';
import { loadAddon } from '../../../router/engine/addon.ts';
import { FLAG_CHECKSUM_PARTIAL } from '../../../router/engine/port.ts';

/** Where things are in a frame, and what the frame is to look like. */
interface Flow {
  readonly family: 4 | 6;
  readonly tags: number;
  /** Bytes of TCP options, a multiple of 4. */
  readonly options: number;
  readonly flags: number;
  readonly sequence: number;
  readonly id: number;
}

const addon = loadAddon();
const VIRTIO_HEADER = 10;
const NEEDS_CHECKSUM = 1;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const GSO_UDP = 5;
const GSO_ECN = 0x80;
const UDP_CHECKSUM_AT = 6;
const UDP_HEADER = 8;
const DONT_FRAGMENT = 0x40;
const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const PSH = 0x08;
const ACK = 0x10;
const URG = 0x20;
const CWR = 0x80;
const LONGEST_PAYLOAD = 65_535 - 60 - 60;
const PLAIN: Flow = { family: 4, tags: 0, options: 12, flags: ACK, sequence: 1_000, id: 7 };

const flows = fc.record({
  family: fc.constantFrom(4 as const, 6 as const),
  tags: fc.integer({ min: 0, max: 2 }),
  options: fc.integer({ min: 0, max: 10 }).map((words) => 4 * words),
  flags: fc.constantFrom(ACK, ACK | PSH, ACK | FIN, ACK | PSH | FIN, ACK | CWR, ACK | PSH | CWR),
  sequence: fc.integer({ min: 0, max: 0xffffffff }),
  id: fc.integer({ min: 0, max: 0xffff }),
});

/** A flow of UDP datagrams. `id` counts, unless none may be fragmented. */
interface DatagramFlow {
  readonly family: 4 | 6;
  readonly tags: number;
  readonly id: number;
  readonly dontFragment: boolean;
}

const DATAGRAMS: DatagramFlow = { family: 4, tags: 0, id: 7, dontFragment: false };

const datagramFlows = fc.record({
  family: fc.constantFrom(4 as const, 6 as const),
  tags: fc.integer({ min: 0, max: 2 }),
  id: fc.integer({ min: 0, max: 0xffff }),
  dontFragment: fc.boolean(),
});

function networkOf({ tags }: Pick<Flow, 'tags'>): number {
  return 14 + 4 * tags;
}

function transportOf(flow: Pick<Flow, 'tags' | 'family'>): number {
  return networkOf(flow) + (flow.family === 4 ? 20 : 40);
}

function headersOf(flow: Flow): number {
  return transportOf(flow) + 20 + flow.options;
}

function sum16(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let i = 0; i < bytes.length; i++) sum += i % 2 === 0 ? bytes[i]! << 8 : bytes[i]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** Ethernet and IP, field by field, before `length` bytes of the protocol. */
function networkFrame(
  flow: Pick<Flow, 'family' | 'tags' | 'id'>,
  protocol: number,
  fragmentBits: number,
  length: number,
): Uint8Array {
  const network = networkOf(flow);
  const transport = transportOf(flow);
  const frame = new Uint8Array(transport + length);
  const view = new DataView(frame.buffer);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
  for (let tag = 0; tag < flow.tags; tag++) view.setUint32(12 + 4 * tag, 0x81000000 + 5 + tag);
  view.setUint16(network - 2, flow.family === 4 ? 0x0800 : 0x86dd);
  if (flow.family === 4) {
    const addresses = [10, 32, 0, 1, 10, 32, 0, 2];
    frame.set([0x45, 0, 0, 0, 0, 0, fragmentBits, 0, 64, protocol, 0, 0, ...addresses], network);
    view.setUint16(network + 2, frame.length - network);
    view.setUint16(network + 4, flow.id);
    view.setUint16(network + 10, 0xffff - sum16(frame.subarray(network, transport)));
  } else {
    frame.set([0x60, 1, 2, 3, 0, 0, protocol, 64], network);
    view.setUint16(network + 4, length);
    for (let i = 0; i < 32; i++) frame[network + 8 + i] = 0x20 + i;
  }
  return frame;
}

/** Of the addresses, the protocol and the length: what a partial checksum stands for. */
function pseudoSum(flow: Pick<Flow, 'family' | 'tags'>, protocol: number, frame: Uint8Array): number {
  const transport = transportOf(flow);
  const addresses = frame.subarray(networkOf(flow) + (flow.family === 4 ? 12 : 8), transport);
  return sum16(addresses, protocol + frame.length - transport);
}

/** The frame of one datagram: the oracle. Its checksum is partial. */
function datagramOf(flow: DatagramFlow, payload: Uint8Array): Uint8Array {
  const bits = flow.dontFragment ? DONT_FRAGMENT : 0;
  const frame = networkFrame(flow, 17, bits, UDP_HEADER + payload.length);
  const transport = transportOf(flow);
  const view = new DataView(frame.buffer);
  view.setUint16(transport, 40_000);
  view.setUint16(transport + 2, 53);
  view.setUint16(transport + 4, UDP_HEADER + payload.length);
  view.setUint16(transport + UDP_CHECKSUM_AT, pseudoSum(flow, 17, frame));
  frame.set(payload, transport + UDP_HEADER);
  return frame;
}

/** Datagrams of `chunk` bytes each; only the last may be shorter. */
function datagramsOf(flow: DatagramFlow, payload: Uint8Array, chunk: number): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += chunk) {
    const id = flow.dontFragment ? flow.id : (flow.id + frames.length) % 2 ** 16;
    frames.push(datagramOf({ ...flow, id }, payload.subarray(at, at + chunk)));
  }
  return frames;
}

/** The frame of one segment, field by field: the oracle. Its checksum is partial. */
function frameOf(flow: Flow, payload: Uint8Array): Uint8Array {
  const transport = transportOf(flow);
  const frame = networkFrame(flow, 6, DONT_FRAGMENT, 20 + flow.options + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint16(transport, 40_000);
  view.setUint16(transport + 2, 5_001);
  view.setUint32(transport + 4, flow.sequence);
  view.setUint32(transport + 8, 0x01020304);
  frame[transport + 12] = (5 + flow.options / 4) << 4;
  frame[transport + 13] = flow.flags;
  view.setUint16(transport + 14, 501);
  view.setUint16(transport + 16, pseudoSum(flow, 6, frame));
  for (let i = 0; i < flow.options; i++) frame[transport + 20 + i] = i;
  frame.set(payload, headersOf(flow));
  return frame;
}

/** The frames of all segments of `chunk` bytes of payload. */
function segmentsOf(flow: Flow, payload: Uint8Array, chunk: number): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += chunk) {
    const last = at + chunk >= payload.length;
    const flags = flow.flags & ~(last ? 0 : FIN | PSH) & ~(at === 0 ? 0 : CWR);
    const sequence = (flow.sequence + at) % 2 ** 32;
    const id = (flow.id + frames.length) % 2 ** 16;
    frames.push(frameOf({ ...flow, flags, sequence, id }, payload.subarray(at, at + chunk)));
  }
  return frames;
}

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255);
}

/** Undefined if it is not cut. */
function cut(frame: Uint8Array, segment: number): Uint8Array[] | undefined {
  const out = new Uint8Array(1 << 21);
  const lengths = new Uint32Array(8_192);
  const count = addon.cutFrame(frame, segment, out, lengths);
  if (count < 0) return undefined;
  const frames: Uint8Array[] = [];
  let at = 0;
  for (const length of lengths.subarray(0, count)) frames.push(out.slice(at, (at += length)));
  return frames;
}

interface Joined {
  readonly count: number;
  readonly header: Uint8Array;
  readonly frame: Uint8Array;
}

function join(frames: readonly Uint8Array[], flags = FLAG_CHECKSUM_PARTIAL): Joined {
  const data = new Uint8Array(Buffer.concat(frames));
  const lengths = Uint32Array.from(frames, (frame) => frame.length);
  const out = new Uint8Array(70_000);
  const count = addon.joinFrames(data, lengths, new Uint8Array(frames.length).fill(flags), out);
  const first = frames[0]!.length;
  const rest = frames.slice(1, count).reduce((sum, frame) => sum + frame.length, 0);
  const headers = count > 1 ? first - payloadLength(frames[0]!) : 0;
  const end = VIRTIO_HEADER + first + rest - Math.max(count - 1, 0) * headers;
  return { count, header: out.slice(0, VIRTIO_HEADER), frame: out.slice(VIRTIO_HEADER, end) };
}

/** Of a frame made by {@link frameOf} or {@link datagramOf}. */
function payloadLength(frame: Uint8Array): number {
  let network = 14;
  while (frame[network - 2] === 0x81) network += 4;
  const v4 = frame[network]! >> 4 === 4;
  const transport = network + (v4 ? 20 : 40);
  if (frame[network + (v4 ? 9 : 6)] === 17) return frame.length - transport - UDP_HEADER;
  return frame.length - transport - (frame[transport + 12]! >> 4) * 4;
}

test('a super-frame is cut into what the oracle makes of each segment', (t) => {
  fc.assert(
    fc.property(
      flows,
      fc.integer({ min: 1, max: LONGEST_PAYLOAD }),
      fc.integer({ min: 536, max: 9_000 }),
      (flow, length, chunk) => {
        const payload = bytesOf(length);
        const frames = cut(frameOf(flow, payload), headersOf(flow) + chunk);
        t.deepEqual(frames, segmentsOf(flow, payload, chunk));
      },
    ),
    { numRuns: 150 },
  );
});

test('behind IPv6 extension headers each segment gets a complete checksum, and none is joined', (t) => {
  const flow: Flow = { ...PLAIN, family: 6 };
  const plain = frameOf(flow, bytesOf(3_000));
  const transport = transportOf(flow);
  const options = Uint8Array.of(6, 0, 1, 4, 0, 0, 0, 0);
  const frame = new Uint8Array([...plain.subarray(0, transport), ...options, ...plain.subarray(transport)]);
  frame[networkOf(flow) + 6] = 60;
  const view = new DataView(frame.buffer);
  view.setUint16(networkOf(flow) + 4, frame.length - transport);
  const frames = cut(frame, headersOf(flow) + options.length + 1_300)!;
  t.deepEqual(
    frames.map((segment) => segment.length - headersOf(flow) - options.length),
    [1_300, 1_300, 400],
  );
  for (const segment of frames) {
    const tcp = segment.subarray(transport + options.length);
    const addresses = segment.subarray(networkOf(flow) + 8, transport);
    t.is(sum16(tcp, sum16(addresses, 6 + tcp.length)), 0xffff);
    t.is(new DataView(segment.buffer).getUint16(networkOf(flow) + 4), segment.length - transport);
  }
  t.is(join(frames).count, 0);
});

test('the segments of one super-frame are joined into it again', (t) => {
  fc.assert(
    fc.property(
      flows,
      fc.integer({ min: 2, max: 64 }),
      fc.integer({ min: 1, max: 1_400 }),
      fc.integer({ min: 1, max: 1_400 }),
      (flow, count, chunk, tail) => {
        const length = Math.min((count - 1) * chunk + Math.min(tail, chunk), LONGEST_PAYLOAD);
        const whole = frameOf(flow, bytesOf(length));
        const frames = segmentsOf(flow, bytesOf(length), chunk);
        const joined = join(frames);
        t.is(joined.count, frames.length);
        t.deepEqual(joined.frame, whole);
        const header = new DataView(joined.header.buffer);
        t.is(header.getUint8(0), NEEDS_CHECKSUM);
        t.is(header.getUint16(6, true), transportOf(flow));
        t.is(header.getUint16(8, true), 16);
        if (frames.length === 1) return;
        const ecn = (flow.flags & CWR) === 0 ? 0 : GSO_ECN;
        t.is(header.getUint8(1), (flow.family === 4 ? GSO_TCPV4 : GSO_TCPV6) | ecn);
        t.is(header.getUint16(2, true), headersOf(flow));
        t.is(header.getUint16(4, true), chunk);
      },
    ),
    { numRuns: 150 },
  );
});

const TWO = segmentsOf(PLAIN, bytesOf(2_000), 1_000);

/** The second of two segments with some of its bytes changed and the IPv4 header checksum right again. */
function second(flow: Flow, change: (frame: Uint8Array) => void): Uint8Array[] {
  return secondChanged(flow, segmentsOf(flow, bytesOf(2_000), 1_000), change);
}

function secondChanged(
  flow: Pick<Flow, 'family' | 'tags'>,
  [first, next]: readonly Uint8Array[],
  change: (frame: Uint8Array) => void,
): Uint8Array[] {
  change(next!);
  if (flow.family === 4) {
    const header = next!.subarray(networkOf(flow), transportOf(flow));
    header.fill(0, 10, 12);
    new DataView(header.buffer, header.byteOffset).setUint16(10, 0xffff - sum16(header));
  }
  return [first!, next!];
}

const V6: Flow = { ...PLAIN, family: 6 };
const strangers: readonly { what: string; flow?: Flow; at: number; bits: number }[] = [
  { what: 'another destination MAC', at: 5, bits: 1 },
  { what: 'another type of service', at: 14 + 1, bits: 4 },
  { what: 'an identification that does not count on', at: 14 + 5, bits: 4 },
  { what: 'other fragment bits', at: 14 + 6, bits: 0x40 },
  { what: 'another time to live', at: 14 + 8, bits: 1 },
  { what: 'another source address', at: 14 + 15, bits: 1 },
  { what: 'another destination address', at: 14 + 19, bits: 1 },
  { what: 'another port', at: 34 + 3, bits: 1 },
  { what: 'a gap in the sequence', at: 34 + 7, bits: 1 },
  { what: 'another acknowledgment', at: 34 + 11, bits: 1 },
  { what: 'other reserved bits', at: 34 + 12, bits: 1 },
  { what: 'SYN', at: 34 + 13, bits: SYN },
  { what: 'RST', at: 34 + 13, bits: RST },
  { what: 'URG', at: 34 + 13, bits: URG },
  { what: 'no ACK', at: 34 + 13, bits: ACK },
  { what: 'CWR', at: 34 + 13, bits: CWR },
  { what: 'another window', at: 34 + 15, bits: 1 },
  { what: 'another urgent pointer', at: 34 + 19, bits: 1 },
  { what: 'another option', at: 34 + 21, bits: 1 },
  { what: 'another flow label', flow: V6, at: 14 + 3, bits: 1 },
  { what: 'another hop limit', flow: V6, at: 14 + 7, bits: 1 },
  { what: 'another IPv6 address', flow: V6, at: 14 + 39, bits: 1 },
];

for (const { what, flow = PLAIN, at, bits } of strangers) {
  test(`a segment with ${what} is not joined to the one before`, (t) => {
    t.is(join(second(flow, () => undefined)).count, 2);
    t.is(join(second(flow, (frame) => (frame[at]! ^= bits))).count, 1);
  });
}

test('a segment with a wrong IPv4 header checksum is not joined', (t) => {
  const [first, next] = TWO.map((frame) => frame.slice());
  next![14 + 11]! ^= 1;
  t.is(join([first!, next!]).count, 1);
  t.is(join([next!, first!]).count, 0);
});

test('a segment whose checksum is complete is not joined: it would no longer be checked', (t) => {
  t.is(join(TWO, 0).count, 0);
});

test('nothing is joined after PSH, FIN or a shorter segment, nor what is longer', (t) => {
  const [first, next, last] = segmentsOf(PLAIN, bytesOf(3_000), 1_000) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  for (const flag of [PSH, FIN]) {
    const marked = next.slice();
    marked[34 + 13]! |= flag;
    t.is(join([first, marked, last]).count, 2);
  }
  const short = frameOf({ ...PLAIN, sequence: 2_000, id: 8 }, bytesOf(999));
  t.is(join([first, short, frameOf({ ...PLAIN, sequence: 2_999, id: 9 }, bytesOf(1_000))]).count, 2);
  t.is(join([first, frameOf({ ...PLAIN, sequence: 2_000, id: 8 }, bytesOf(1_001))]).count, 1);
});

test('datagrams of one flow are joined into one that says how long each is', (t) => {
  fc.assert(
    fc.property(
      datagramFlows,
      fc.integer({ min: 2, max: 64 }),
      fc.integer({ min: 1, max: 1_000 }),
      fc.integer({ min: 1, max: 1_000 }),
      (flow, count, chunk, tail) => {
        const payload = bytesOf((count - 1) * chunk + Math.min(tail, chunk));
        const frames = datagramsOf(flow, payload, chunk);
        const joined = join(frames);
        t.is(joined.count, frames.length);
        t.deepEqual(joined.frame, datagramOf(flow, payload));
        const header = new DataView(joined.header.buffer);
        t.is(header.getUint8(0), NEEDS_CHECKSUM);
        t.is(header.getUint8(1), GSO_UDP);
        t.is(header.getUint16(2, true), transportOf(flow) + UDP_HEADER);
        t.is(header.getUint16(4, true), chunk);
        t.is(header.getUint16(6, true), transportOf(flow));
        t.is(header.getUint16(8, true), UDP_CHECKSUM_AT);
      },
    ),
    { numRuns: 150 },
  );
});

const strangeDatagrams: readonly { what: string; flow?: DatagramFlow; at: number; bits: number }[] = [
  { what: 'another type of service', at: 14 + 1, bits: 4 },
  { what: 'an identification that does not count on', at: 14 + 5, bits: 4 },
  {
    what: 'leave to be fragmented',
    flow: { ...DATAGRAMS, dontFragment: true },
    at: 14 + 6,
    bits: DONT_FRAGMENT,
  },
  { what: 'another time to live', at: 14 + 8, bits: 1 },
  { what: 'another destination address', at: 14 + 19, bits: 1 },
  { what: 'another source port', at: 34 + 1, bits: 1 },
  { what: 'another destination port', at: 34 + 3, bits: 1 },
  { what: 'a length that is not its own', at: 34 + 5, bits: 1 },
  { what: 'another flow label', flow: { ...DATAGRAMS, family: 6 }, at: 14 + 3, bits: 1 },
  { what: 'another IPv6 address', flow: { ...DATAGRAMS, family: 6 }, at: 14 + 39, bits: 1 },
];

for (const { what, flow = DATAGRAMS, at, bits } of strangeDatagrams) {
  test(`a datagram with ${what} is not joined to the one before`, (t) => {
    const two = (change: (frame: Uint8Array) => void) =>
      join(secondChanged(flow, datagramsOf(flow, bytesOf(200), 100), change)).count;
    t.is(
      two(() => undefined),
      2,
    );
    t.is(
      two((frame) => (frame[at]! ^= bits)),
      1,
    );
  });
}

test('a datagram is not joined after a shorter one, nor what is longer, nor what is complete', (t) => {
  const [first, next] = datagramsOf(DATAGRAMS, bytesOf(200), 100) as [Uint8Array, Uint8Array];
  const short = datagramOf({ ...DATAGRAMS, id: 8 }, bytesOf(99));
  t.is(join([first, short, datagramOf({ ...DATAGRAMS, id: 9 }, bytesOf(99))]).count, 2);
  t.is(join([first, datagramOf({ ...DATAGRAMS, id: 8 }, bytesOf(101))]).count, 1);
  t.is(join([first, next], 0).count, 0);
  t.is(join([first, frameOf({ ...PLAIN, id: 8 }, bytesOf(100))]).count, 1);
  t.is(join([datagramOf(DATAGRAMS, bytesOf(0))]).count, 0);
});

test('a frame is joined from at most 64 segments and 65,535 bytes of IP', (t) => {
  const small = Array.from({ length: 65 }, (_, i) =>
    frameOf({ ...PLAIN, sequence: 1_000 + 10 * i, id: 7 + i }, bytesOf(10)),
  );
  t.is(join(small).count, 64);
  const large = Array.from({ length: 9 }, (_, i) =>
    frameOf({ ...PLAIN, sequence: 1_000 + 8_000 * i, id: 7 + i }, bytesOf(8_000)),
  );
  t.is(join(large).count, 8);
});

test('what a frame says of its length must be so', (t) => {
  const frame = frameOf(PLAIN, bytesOf(3_000));
  t.is(cut(frame, 66 + 1_000)!.length, 3);
  t.is(cut(frame.subarray(0, -1), 66 + 1_000), undefined);
  t.is(cut(new Uint8Array([...frame, 0]), 66 + 1_000), undefined);
  t.is(join([new Uint8Array([...frame, 0])]).count, 0);
});

test('a segment without room for payload is refused', (t) => {
  t.is(cut(frameOf(PLAIN, bytesOf(3_000)), headersOf(PLAIN)), undefined);
});

test('any bytes at all are cut and joined without harm', (t) => {
  const base = frameOf(PLAIN, bytesOf(300));
  fc.assert(
    fc.property(
      fc.constantFrom(base, frameOf(V6, bytesOf(300)), frameOf({ ...PLAIN, tags: 2 }, bytesOf(300))),
      fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 4 }),
      fc.nat(400),
      fc.nat(500),
      (frame, changes, length, segment) => {
        const bytes = frame.slice(0, length);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        const frames = cut(bytes, segment);
        if (frames !== undefined) t.true(frames.every((piece) => piece.length <= segment));
        const joined = addon.joinFrames(
          new Uint8Array(Buffer.concat([bytes, bytes])),
          Uint32Array.of(bytes.length, bytes.length),
          Uint8Array.of(1, 1),
          new Uint8Array(2_000),
        );
        t.true(joined >= 0 && joined <= 2);
      },
    ),
    { numRuns: 2_000 },
  );
});
