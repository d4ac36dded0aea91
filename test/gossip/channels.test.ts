import test from 'ava';
import { SeededRandom } from '../../core/random.ts';
import { Channels, type ChannelNeighbour } from '../../gossip/channels.ts';
import { parseMessage, type Message } from '../../gossip/messages.ts';
import { LastWriterChannel } from './last-writer-channel.ts';
import { peerName } from './mesh.ts';

class FakeNeighbour implements ChannelNeighbour {
  readonly name;
  readonly received: Message[] = [];
  isWritable = true;

  constructor(index: number) {
    this.name = peerName(index);
  }

  send(bytes: Uint8Array): void {
    const parsed = parseMessage(bytes);
    if (parsed.type === 'message') this.received.push(parsed.message);
  }

  /** What gossip came in, as text. */
  gossip(): string[] {
    return this.received.flatMap((message) =>
      message.type === 'gossip' ? [new TextDecoder().decode(message.delta)] : [],
    );
  }
}

function setUp(count: number): {
  channels: Channels;
  channel: LastWriterChannel;
  neighbours: FakeNeighbour[];
} {
  const neighboursOf = (): ReadonlySet<never> => new Set();
  const channels = new Channels({ random: new SeededRandom(1), neighboursOf });
  const channel = new LastWriterChannel();
  channels.register('test', channel);
  const neighbours = Array.from({ length: count }, (_, i) => new FakeNeighbour(i + 1));
  for (const neighbour of neighbours) channels.addNeighbour(neighbour, true, 0);
  return { channels, channel, neighbours };
}

test('changes between two flushes leave as one message', (t) => {
  const { channels, channel, neighbours } = setUp(2);
  channels.publish('test', channel.set('a', 1));
  channels.publish('test', channel.set('b', 2));
  channels.publish('test', channel.set('a', 3));
  t.true(channels.hasWork);
  channels.flush(0);
  t.false(channels.hasWork);
  for (const neighbour of neighbours) t.deepEqual(neighbour.gossip(), ['a=3\nb=2']);
});

test('what waits for a blocked neighbour is joined, and leaves when it can', (t) => {
  const { channels, channel, neighbours } = setUp(1);
  const [neighbour] = neighbours;
  neighbour!.isWritable = false;
  for (let i = 1; i <= 1_000; i++) {
    channels.publish('test', channel.set('a', i));
    channels.flush(0);
  }
  t.false(channels.hasWork);
  t.deepEqual(neighbour!.gossip(), []);
  neighbour!.isWritable = true;
  t.true(channels.hasWork);
  channels.flush(0);
  t.deepEqual(neighbour!.gossip(), ['a=1000']);
});

test('deltas of a channel that is not run here are bounded for a blocked neighbour: the oldest go', (t) => {
  const { channels, neighbours } = setUp(2);
  const [blocked, sender] = neighbours;
  blocked!.isWritable = false;
  for (let i = 0; i < 100; i++) {
    const delta = new TextEncoder().encode(`x${i}`);
    channels.onMessage(sender!.name, { type: 'gossip', channel: 'other', delta }, 0);
  }
  blocked!.isWritable = true;
  channels.flush(0);
  t.deepEqual(
    blocked!.gossip(),
    Array.from({ length: 16 }, (_, i) => `x${84 + i}`),
  );
  t.deepEqual(sender!.gossip(), []);
});

test('a differing root is answered with buckets, differing buckets with entries and a wish', (t) => {
  const { channels, channel, neighbours } = setUp(1);
  const [neighbour] = neighbours;
  const { name, received } = neighbour!;
  channel.set('a', 1);
  received.length = 0;
  channels.onMessage(name, { type: 'digest', roots: [{ channel: 'test', root: channel.digest().root }] }, 0);
  t.deepEqual(received, []);
  channels.onMessage(name, { type: 'digest', roots: [{ channel: 'test', root: new Uint8Array(8) }] }, 0);
  t.like(received.pop(), { type: 'buckets', channel: 'test', mutual: false });
  const buckets = new LastWriterChannel().digest().buckets;
  channels.onMessage(name, { type: 'buckets', channel: 'test', buckets, mutual: false }, 0);
  t.deepEqual(neighbour!.gossip(), ['a=1']);
  const want = received.pop();
  t.is(want?.type, 'want');
  received.length = 0;
  channels.onMessage(name, { type: 'buckets', channel: 'test', buckets, mutual: true }, 0);
  t.deepEqual(
    received.map(({ type }) => type),
    ['gossip'],
    'nobody asks where both send',
  );
  received.length = 0;
  channels.onMessage(name, want as Extract<Message, { type: 'want' }>, 0);
  t.deepEqual(neighbour!.gossip(), ['a=1']);
});

test('digests go to min(2 log2 n, degree) neighbours', (t) => {
  const { channels, neighbours } = setUp(40);
  for (const { received } of neighbours) received.length = 0;
  channels.startRepair(41, 0);
  t.is(neighbours.filter(({ received }) => received.length === 1).length, 11);
});
