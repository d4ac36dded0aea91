import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import test from 'ava';
import { parseIp } from '../../../core/address.ts';
import { openEngine } from '../../../router/engine/choose.ts';
import { bufferCipher } from '../../../router/engine/datagram-cipher.ts';
import { PortableEngine } from '../../../router/engine/portable.ts';
import { EngineError } from '../../../router/engine/port.ts';
import { chacha } from './chacha.ts';
import { engineContract } from './contract.ts';
import { freePort, udpNet } from './udp-net.ts';
import { exhaustionContract, wireContract } from './wire-contract.ts';

const make = (): PortableEngine => new PortableEngine(bufferCipher(chacha));

engineContract('portable', () => udpNet(make, make), { tap: false });
wireContract('portable', () => udpNet(make, make));

const limited = (): PortableEngine => new PortableEngine(bufferCipher(chacha), 2);
exhaustionContract('portable', () => udpNet(limited, limited));

test('a port that is in use is named in the error', async (t) => {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  const options = { tap: undefined, address: parseIp('127.0.0.1'), port, onReady: () => undefined };
  await t.throwsAsync(make().open(options), {
    instanceOf: EngineError,
    message: `port ${port} is in use (UDP): stop the program that has it, or choose another port`,
  });
  socket.close();
});

test('an address that the host lacks is named in the error', async (t) => {
  const options = {
    tap: undefined,
    address: parseIp('192.0.2.1'),
    port: await freePort(),
    onReady: () => undefined,
  };
  await t.throwsAsync(make().open(options), {
    instanceOf: EngineError,
    message: 'this host does not have the address 192.0.2.1',
  });
});

test('the portable engine is opened by name', async (t) => {
  const options = {
    tap: undefined,
    address: parseIp('127.0.0.1'),
    port: await freePort(),
    onReady: () => undefined,
  };
  const { engine, kind } = await openEngine('portable', options);
  t.is(kind, 'portable');
  await engine.close();
});
