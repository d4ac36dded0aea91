import test from 'ava';
import { parseCidr } from '../../core/address.ts';
import { MAX_UNICAST } from '../../gossip/messages.ts';
import { decodeMessage, encodeMessage, MAX_PARTS } from '../../ipam/messages.ts';
import { AddressRange } from '../../ipam/range.ts';
import { MAX_SEGMENTS, MAX_VERSION, type Segment } from '../../ipam/ring.ts';
import { ringReplies } from '../../ipam/ring-reply.ts';
import { peer } from './network.ts';

const ID = '0011223344556677';
const range = new AddressRange(parseCidr('10.0.0.0/8')!);

/** As many bytes as can be: big numbers, and an owner of its own for each. */
function ringOf(length: number): Segment[] {
  return Array.from({ length }, (_, i) => ({
    start: range.size - 200 * (length - i),
    end: range.size - 200 * (length - i) + 200,
    epoch: 2 ** 32,
    version: MAX_VERSION - 1,
    owner: peer(i % 250),
    generation: (i % 9_000).toString(16).padStart(16, '0'),
  }));
}

test('the largest ring is answered in messages that each fit a unicast and together make the ring', (t) => {
  const ring = ringOf(MAX_SEGMENTS);
  const replies = ringReplies(ID, 3, { type: 'ring', clusterId: ID + ID, range, ring });
  t.true(replies.length <= MAX_PARTS);
  const bytes = replies.map((reply) => encodeMessage(reply));
  t.true(Math.max(...bytes.map(({ length }) => length)) <= MAX_UNICAST);
  const read = bytes.map((message) => decodeMessage(message)!);
  t.deepEqual(
    read.map((message) => message.type === 'ring-reply' && [message.answer, message.part, message.parts]),
    replies.map((_, part) => [3, part, replies.length]),
  );
  const segments = read.flatMap((message) => (message.type === 'ring-reply' ? message.rings : []));
  t.is(JSON.stringify(segments.flatMap((entry) => entry.ring)), JSON.stringify(ring));
});

test('without a ring the answer is one empty part', (t) => {
  t.deepEqual(ringReplies(ID, 1, undefined), [
    { type: 'ring-reply', id: ID, answer: 1, part: 0, parts: 1, rings: [] },
  ]);
});

test('a part beyond the number of parts, or of too many, is malformed', (t) => {
  for (const [part, parts] of [
    [1, 1],
    [0, 0],
    [0, MAX_PARTS + 1],
    [-1, 2],
  ] as const) {
    const bytes = encodeMessage({ type: 'ring-reply', id: ID, answer: 1, part, parts, rings: [] });
    t.is(decodeMessage(bytes), undefined, `${part} of ${parts}`);
  }
});
