import { connect, createServer, type Server } from 'node:net';
import { BadValue } from './exit.ts';

/** An abstract unix socket: it belongs to the network namespace and goes with the process that holds it (unix(7)). */
const CLAIM = '\0weave-ts';
const ANSWER_LIMIT_MS = 1_000;

/**
 * Makes this process the one daemon of its network namespace: bridge, rules and the TAP are there once. Rejects with
 * a sentence that names the process which is it already.
 */
export async function claimNamespace(): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(String(process.pid));
  });
  server.unref();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(CLAIM, resolve);
    });
    return server;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const holder = await holderOfClaim();
    throw new BadValue(
      `the socket @weave-ts of this network namespace is taken, by ${holder}: stop the weave-ts daemon that runs here first`,
    );
  }
}

function holderOfClaim(): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(CLAIM);
    socket.setTimeout(ANSWER_LIMIT_MS, () => socket.destroy());
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.on('error', () => undefined);
    socket.on('close', () =>
      resolve(
        /^\d{1,10}$/.test(text) ? `process ${text} as it says itself` : 'a process that does not say which',
      ),
    );
  });
}
