import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { parseIp } from '../../../core/address.ts';
import { Streams } from '../../../router/loop/streams.ts';

/** Within ten seconds. */
async function until(isSo: () => boolean): Promise<void> {
  for (let looks = 0; !isSo(); looks++) {
    if (looks === 2_000) throw new Error('it did not come');
    await setTimeout(5);
  }
}

for (const host of ['127.0.0.1', 'localhost', 'no-such-host.invalid']) {
  test(`a dial to ${host} that is being looked up at the close opens nothing and is not reported`, async (t) => {
    const server = createServer(() => t.fail('connected')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    const note = () => t.fail('reported');
    const streams = new Streams({
      onAccepted: note,
      onConnected: note,
      onDialFailed: note,
      onBytes: note,
      onDrained: note,
      onClosed: note,
    });
    streams.dial(2, host, (server.address() as AddressInfo).port);
    await streams.close();
    await setTimeout(300);
    t.pass();
  });
}

test('streams that begin at an address that is gone are reported as closed at once, others live on', async (t) => {
  const said: string[] = [];
  const note =
    (what: string) =>
    (...of: unknown[]) =>
      void said.push([what, ...of.filter((each) => typeof each !== 'object')].join(' '));
  const streams = new Streams({
    onAccepted: note('accepted'),
    onConnected: note('connected'),
    onDialFailed: note('failed'),
    onBytes: () => undefined,
    onDrained: () => undefined,
    onClosed: note('closed'),
  });
  t.teardown(() => streams.close());
  const server = createServer().listen(0, '127.0.0.2');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  streams.dial(2, '127.0.0.2', port);
  await once(server, 'connection');
  await until(() => said.includes('connected 2'));
  streams.onAddressesGone([parseIp('127.0.0.2')!]);
  t.deepEqual(said.splice(0), ['connected 2']);
  streams.onAddressesGone([parseIp('127.0.0.1')!]);
  const reason = 'this host no longer has the address that the connection began at';
  t.deepEqual(said.splice(0), [`closed 2 ${reason}`]);
  streams.onAddressesGone([parseIp('127.0.0.1')!]);
  t.deepEqual(said, []);
});

test('what is written leaves with the next flush, or with the end of the stream, in order', async (t) => {
  const said: string[] = [];
  const streams = new Streams({
    onAccepted: () => undefined,
    onConnected: (conn) => said.push(`connected ${conn}`),
    onDialFailed: (conn) => said.push(`failed ${conn}`),
    onBytes: () => undefined,
    onDrained: (conn) => said.push(`drained ${conn}`),
    onClosed: (conn) => said.push(`closed ${conn}`),
  });
  t.teardown(() => streams.close());
  const heard: Buffer[] = [];
  const server = createServer((socket) => socket.on('data', (bytes) => heard.push(bytes)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const text = () => Buffer.concat(heard).toString();
  streams.dial(2, '127.0.0.1', (server.address() as AddressInfo).port);
  await until(() => said.includes('connected 2'));
  t.false(streams.flush(), 'there is nothing');
  streams.write(2, Buffer.from('one '));
  streams.write(2, Buffer.from('two '));
  streams.write(4, Buffer.from('to nobody'));
  await setTimeout(50);
  t.is(text(), '');
  t.true(streams.flush());
  t.false(streams.flush());
  t.deepEqual(said.splice(0), ['connected 2', 'drained 2']);
  await until(() => text() === 'one two ');
  streams.write(2, Buffer.from('bye'));
  streams.closeStream(2);
  await until(() => text() === 'one two bye');
  streams.write(2, Buffer.from('late'));
  streams.flush();
  t.deepEqual(said, []);
});
