import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { Streams } from '../../../router/loop/streams.ts';

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
