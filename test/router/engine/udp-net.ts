import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { parseIp, type Endpoint } from '../../../core/address.ts';
import type { Engine } from '../../../router/engine/port.ts';
import type { ContractEnd, ContractHost, ContractNet, ContractSocket } from './contract.ts';

const LOOPBACK = parseIp('127.0.0.1')!;

/** An engine with a TAP, and the host behind that. */
export interface EndWithHost {
  readonly engine: Engine;
  readonly host: ContractHost;
  /** Name of the TAP. */
  readonly tap: string;
  /** Connects the host once the engine has its TAP. */
  readonly attach?: () => Promise<void>;
}

type MakeEnd = () => Engine | EndWithHost;

/** Two open engines and two outsiders on the loopback address. */
export async function udpNet(makeA: MakeEnd, makeB: MakeEnd): Promise<ContractNet> {
  const [a, b] = [await openEnd(makeA()), await openEnd(makeB())];
  const [outsider, stranger] = [await openSocket(), await openSocket()];
  const close = async (): Promise<void> => {
    await Promise.all([a.engine.close(), b.engine.close()]);
    outsider.close();
    stranger.close();
  };
  return { a, b, outsider, stranger, close };
}

async function openEnd(made: ReturnType<MakeEnd>): Promise<ContractEnd> {
  const { engine, host, tap, attach } =
    'engine' in made ? made : { engine: made, host: undefined, tap: undefined, attach: undefined };
  const endpoint = { ip: LOOPBACK, port: await freePort() };
  let ready = 0;
  await engine.open({ tap, address: LOOPBACK, port: endpoint.port, onReady: () => ready++ });
  await attach?.();
  return { engine, endpoint, readyCalls: () => ready, host };
}

async function openSocket(): Promise<ContractSocket & { close(): void }> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const received: Uint8Array[] = [];
  socket.on('message', (datagram) => received.push(Uint8Array.from(datagram)));
  return {
    endpoint: { ip: LOOPBACK, port: socket.address().port },
    send: (to: Endpoint, datagram) => socket.send(datagram, to.port, '127.0.0.1'),
    takeReceived: () => received.splice(0),
    close: () => socket.close(),
  };
}

/** Below what the kernel gives out by itself. */
const FIRST_PORT = 10_000;
const PORTS = 20_000;

let nextPort = randomInt(PORTS);

/** A UDP port that nobody is handed but the caller: not by the kernel, nor by this in any thread or process. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const port = FIRST_PORT + nextPort;
    nextPort = (nextPort + 1) % PORTS;
    if ((await reserve(port)) && (await isFree(port))) return port;
  }
  throw new Error('no UDP port is free');
}

/** An abstract name stands for the port from here until this thread ends: looking alone would not keep others away. */
async function reserve(port: number): Promise<boolean> {
  const name = createServer().unref();
  try {
    name.listen(`\0weave-ts-test-port-${port}`);
    await once(name, 'listening');
    return true;
  } catch {
    return false;
  }
}

async function isFree(port: number): Promise<boolean> {
  const socket = createSocket('udp6');
  try {
    socket.bind(port);
    await once(socket, 'listening');
  } catch {
    return false;
  }
  await new Promise<void>((resolve) => socket.close(resolve));
  return true;
}
