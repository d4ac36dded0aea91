import test from 'ava';
import { SeededRandom } from '../../core/random.ts';
import { Channels, type ChannelNeighbour } from '../../gossip/channels.ts';
import { parseMessage, type Message } from '../../gossip/messages.ts';
import { NewsNumbers, Pending } from '../../gossip/pending.ts';
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

test('of many news that came together each neighbour gets all but its own', (t) => {
  const { channels, channel, neighbours } = setUp(20);
  neighbours.forEach(({ name }, i) => channels.publish('test', channel.set(`k${i}`, 1), name));
  channels.flush(0);
  neighbours.forEach((neighbour, own) => {
    const keys = neighbour.gossip().flatMap((delta) => delta.split('\n').map((line) => line.split('=')[0]!));
    const others = neighbours.flatMap((_, i) => (i === own ? [] : `k${i}`));
    t.deepEqual(keys.sort(), others.sort(), `neighbour ${own}`);
  });
});

test('what waits for two blocked neighbours is not what waits for one of them', (t) => {
  const { channels, channel, neighbours } = setUp(2);
  const [a, b] = neighbours;
  a!.isWritable = b!.isWritable = false;
  channels.publish('test', channel.set('first', 1), a!.name);
  channels.publish('test', channel.set('second', 1), b!.name);
  for (let i = 1; i <= 16; i++) channels.publish('test', channel.set('k', i));
  channels.flush(0);
  a!.isWritable = b!.isWritable = true;
  channels.flush(0);
  t.deepEqual(a!.gossip(), ['second=1\nk=16']);
  t.deepEqual(b!.gossip(), ['first=1\nk=16']);
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

function entriesSent(channel: LastWriterChannel, keys: readonly string[]): string[] {
  const channels = new Channels({ random: new SeededRandom(1), neighboursOf: () => new Set() });
  channels.register('test', channel);
  const neighbour = new FakeNeighbour(1);
  channels.addNeighbour(neighbour, true, 0);
  for (const key of keys) channel.set(key, 1);
  channels.onMessage(neighbour.name, { type: 'want', channel: 'test', buckets: 0xffff }, 0);
  return neighbour.gossip();
}

function lines(texts: readonly string[]): string[] {
  return texts.flatMap((text) => text.split('\n')).sort();
}

test('entries too many for one message go bucket by bucket', (t) => {
  const keys = Array.from({ length: 100 }, (_, i) => `${'k'.repeat(20_000)}${i}`);
  const sent = entriesSent(new LastWriterChannel(), keys);
  t.true(sent.length > 10);
  t.deepEqual(lines(sent), keys.map((key) => `${key}=1`).sort());
});

test('news that together are too long for one message leave in several', (t) => {
  const channels = new Channels({ random: new SeededRandom(1), neighboursOf: () => new Set() });
  const channel = new LastWriterChannel();
  channels.register('test', channel);
  const neighbour = new FakeNeighbour(1);
  channels.addNeighbour(neighbour, true, 0);
  for (let i = 0; i < 12; i++) channels.publish('test', channel.set(`${'k'.repeat(100_000)}${i}`, 1));
  channels.flush(0);
  t.is(neighbour.gossip().length, 12);
});

test('what a neighbour sent itself while news waited is not sent to it, and to the others all of it', (t) => {
  const { channels, neighbours } = setUp(3);
  const had = new Map<string, string>();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  const channel = Object.assign(new LastWriterChannel(), {
    lackedBy: (to: string, news: Uint8Array) => {
      const lines = text(news).split('\n');
      const rest = lines.filter((line) => line !== had.get(to));
      return rest.length === lines.length ? news : new TextEncoder().encode(rest.join('\n'));
    },
    passedOn: (to: string) => void had.delete(to),
  });
  channels.register('test', channel);
  const both = () => new TextEncoder().encode('a=1\nb=2');
  channels.publish('test', both());
  had.set(neighbours[1]!.name, 'a=1');
  channels.flush(0);
  t.deepEqual(
    neighbours.map((neighbour) => neighbour.gossip()),
    [['a=1\nb=2'], ['b=2'], ['a=1\nb=2']],
  );
  t.deepEqual([...had], [], 'all that waited went out');
  had.set(neighbours[2]!.name, 'b=2');
  channels.removeNeighbour(neighbours[2]!.name);
  t.deepEqual([...had], [], 'nothing is remembered of one that is gone');
});

test('of channels that a node does not run so many bytes wait for a neighbour and no more, the newest of each', (t) => {
  const pending = new Pending(new NewsNumbers());
  const big = (fill: number) => new Uint8Array(900_000).fill(fill);
  for (let id = 1; id <= 4; id++) pending.add('later', undefined, { id, news: big(id) });
  pending.add('other', undefined, { id: 5, news: big(5) });
  pending.add('small', undefined, { id: 6, news: Uint8Array.of(6) });
  const ids = pending.take().map(([name, waiting]) => [name, waiting.map(({ id }) => id)]);
  t.deepEqual(ids, [
    ['later', [3, 4]],
    ['other', []],
    ['small', [6]],
  ]);
  for (let id = 1; id <= 4; id++) pending.add('later', undefined, { id, news: big(id) });
  t.deepEqual(
    pending.take().map(([, waiting]) => waiting.length),
    [2],
    'what was taken leaves its room',
  );
});

test('channels that a node does not run take no place from those that it runs', (t) => {
  const pending = new Pending(new NewsNumbers());
  for (let i = 0; i < 40; i++) pending.add(`x${i}`, undefined, { id: i, news: Uint8Array.of(1) });
  pending.add('own', new LastWriterChannel(), { id: 50, news: [] });
  const names = pending.take().map(([name]) => name);
  t.is(names.length, 33);
  t.true(names.includes('own'));
});

test('an announcement and a request of a neighbour that can take nothing now are heard when it can', (t) => {
  const channels = new Channels({ random: new SeededRandom(1), neighboursOf: () => new Set() });
  const heard: string[] = [];
  class Announcing extends LastWriterChannel {
    lacked(bytes: Uint8Array): Uint8Array {
      heard.push(`have ${bytes[0]}`);
      return bytes;
    }

    answer(bytes: Uint8Array): Uint8Array[] {
      heard.push(`ask ${bytes[0]}`);
      return [bytes];
    }
  }
  channels.register('test', new Announcing());
  const neighbour = new FakeNeighbour(1);
  channels.addNeighbour(neighbour, true, 0);
  neighbour.received.length = 0;
  neighbour.isWritable = false;
  for (let i = 0; i < 20; i++) {
    channels.onMessage(neighbour.name, { type: 'have', channel: 'test', announcement: Uint8Array.of(i) }, 0);
  }
  const request = Uint8Array.of(99);
  channels.onMessage(neighbour.name, { type: 'ask', channel: 'test', request }, 0);
  request[0] = 0;
  channels.flush(0);
  t.deepEqual(heard, []);
  t.deepEqual(neighbour.received, []);
  neighbour.isWritable = true;
  t.true(channels.hasWork);
  channels.flush(0);
  t.deepEqual(heard, [...Array.from({ length: 15 }, (_, i) => `have ${i + 5}`), 'ask 99']);
  t.deepEqual(neighbour.received.at(-1)?.type, 'gossip');
  t.false(channels.hasWork);
});

test('of announcements that nobody can answer yet half a megabyte is kept, the newest', (t) => {
  const channels = new Channels({ random: new SeededRandom(1), neighboursOf: () => new Set() });
  const heard: number[] = [];
  class Announcing extends LastWriterChannel {
    lacked(bytes: Uint8Array): undefined {
      heard.push(bytes[0]!);
    }
  }
  channels.register('test', new Announcing());
  const neighbour = new FakeNeighbour(1);
  channels.addNeighbour(neighbour, true, 0);
  neighbour.isWritable = false;
  const tell = (first: number, length: number): void => {
    const announcement = new Uint8Array(length).fill(first);
    channels.onMessage(neighbour.name, { type: 'have', channel: 'test', announcement }, 0);
  };
  for (const i of [1, 2, 3]) tell(i, 200_000);
  tell(4, 600_000);
  for (const i of [5, 6, 7]) tell(i, 200_000);
  neighbour.isWritable = true;
  channels.flush(0);
  t.deepEqual(heard, [6, 7]);
});
