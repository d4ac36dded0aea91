import test from 'ava';
import { parseCidr } from '../../core/address.ts';
import { SeededRandom } from '../../core/random.ts';
import { MAX_UNICAST } from '../../gossip/messages.ts';
import { CatchUp } from '../../ipam/catch-up.ts';
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
  const replies = ringReplies(ID, 0, { type: 'ring', clusterId: ID + ID, range, ring }, []);
  t.true(replies.length <= MAX_PARTS);
  const bytes = replies.map((reply) => encodeMessage(reply));
  t.true(Math.max(...bytes.map(({ length }) => length)) <= MAX_UNICAST);
  const read = bytes.map((message) => decodeMessage(message)!);
  t.deepEqual(
    read.map((message) => message.type === 'ring-reply' && [message.answer, message.part, message.parts]),
    replies.map((_, part) => [replies[0]!.answer, part, replies.length]),
  );
  const segments = read.flatMap((message) => (message.type === 'ring-reply' ? message.entries : []));
  t.is(
    JSON.stringify(segments.flatMap((entry) => (entry.type === 'ring' ? entry.ring : []))),
    JSON.stringify(ring),
  );
});

test('a stream that takes three parts at a time still lets the whole ring through', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  const neighbour = peer(1);
  const entry = { type: 'ring', clusterId: ID + ID, range, ring: ringOf(10_000) } as const;
  catchUp.onNeighbours([neighbour], [], 0);
  for (let asked = 0; asked < 4; asked++) {
    t.deepEqual(catchUp.unanswered(), [neighbour]);
    const replies = ringReplies(catchUp.id, catchUp.missingPart(neighbour), entry, []);
    for (const reply of replies.slice(0, 3)) catchUp.onReply(neighbour, reply);
  }
  t.deepEqual(catchUp.unanswered(), []);
});

test('another ring has another answer', (t) => {
  const answerOf = (ring: Segment[]) =>
    ringReplies(ID, 0, { type: 'ring', clusterId: ID + ID, range, ring }, [])[0]!.answer;
  t.is(answerOf(ringOf(5)), answerOf(ringOf(5)));
  t.not(answerOf(ringOf(5)), answerOf(ringOf(6)));
});

test('without a ring the answer is one empty part', (t) => {
  const [reply, ...others] = ringReplies(ID, 1, undefined, []);
  t.deepEqual([reply!.part, reply!.parts, reply!.entries, others], [0, 1, [], []]);
});

test('a part beyond the number of parts, or of too many, is malformed', (t) => {
  for (const [part, parts] of [
    [1, 1],
    [0, 0],
    [0, MAX_PARTS + 1],
    [-1, 2],
  ] as const) {
    const bytes = encodeMessage({ type: 'ring-reply', id: ID, answer: 1, part, parts, entries: [] });
    t.is(decodeMessage(bytes), undefined, `${part} of ${parts}`);
  }
});
