import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { silentLog } from '../../../core/log.ts';
import { callApi, NoDaemon, Refused } from '../../../router/api/client.ts';
import type { Daemon } from '../../../router/api/daemon.ts';
import { checkSocketPath, createApi, listenOnSocket } from '../../../router/api/server.ts';

/** A daemon that notes what it is asked and answers `answers`. */
function fakeDaemon(calls: unknown[][], answers: Partial<Record<keyof Daemon, unknown>> = {}): Daemon {
  return new Proxy({} as Daemon, {
    get:
      (_, name: keyof Daemon) =>
      (...args: unknown[]) => {
        calls.push([name, ...args.filter((arg) => !(arg instanceof AbortSignal))]);
        const answer = answers[name];
        if (answer instanceof Error) return Promise.reject(answer);
        return Promise.resolve(
          typeof answer === 'function' ? (answer as (...a: unknown[]) => unknown)(...args) : answer,
        );
      },
  });
}

async function serve(t: ExecutionContext, daemon: Daemon): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'weave-ts-api-'));
  const socket = join(dir, 'run', 'api.sock');
  const app = createApi(daemon, silentLog);
  await listenOnSocket(app, socket);
  t.teardown(async () => {
    await app.close();
    rmSync(dir, { recursive: true });
  });
  return socket;
}

test('calls reach the daemon with their arguments and defaults, and its answers come back', async (t) => {
  const calls: unknown[][] = [];
  const socket = await serve(
    t,
    fakeDaemon(calls, {
      status: { version: '1' },
      ps: [],
      detach: ['10.32.0.1/12'],
      rotate: { accepted: 1 },
      rekey: [],
      attach: { id: 'x' },
      expose: {},
    }),
  );
  t.deepEqual(await callApi(socket, 'GET', '/status'), { version: '1' });
  t.deepEqual(await callApi(socket, 'GET', '/ps'), { attachments: [] });
  t.deepEqual(await callApi(socket, 'POST', '/detach', { target: 'a' }), { addresses: ['10.32.0.1/12'] });
  t.deepEqual(await callApi(socket, 'POST', '/attach', { target: 'a' }), { id: 'x' });
  await callApi(socket, 'POST', '/connect', { peers: ['b'] });
  await callApi(socket, 'POST', '/stop', { clean: true });
  await callApi(socket, 'POST', '/expose', { masquerade: false });
  t.deepEqual(await callApi(socket, 'POST', '/rotate'), { accepted: 1 });
  t.deepEqual(await callApi(socket, 'POST', '/rekey', { peer: 'host2' }), { peers: [] });
  await callApi(socket, 'POST', '/rekey', {});
  t.deepEqual(calls, [
    ['status'],
    ['ps'],
    ['detach', 'a', []],
    ['attach', { addresses: [], defaultRoute: false, target: 'a' }],
    ['connect', ['b'], false],
    ['stop', true],
    ['expose', { addresses: [], masquerade: false }],
    ['rotate'],
    ['rekey', 'host2'],
    ['rekey', undefined],
  ]);
});

test('only this user may open the socket and its directory', async (t) => {
  const socket = await serve(t, fakeDaemon([]));
  t.is(statSync(socket).mode & 0o777, 0o600);
  t.is(statSync(join(socket, '..')).mode & 0o777, 0o700);
});

for (const [path, body] of [
  ['/connect', {}],
  ['/connect', { peers: 'a' }],
  ['/connect', { peers: [''] }],
  ['/connect', { peers: ['a'], replaces: true }],
  ['/attach', { target: 1 }],
  ['/attach', { target: 'a', interface: 'sixteen-letters-' }],
  ['/stop', { clean: 'yes' }],
  ['/release', {}],
  ['/nothing', {}],
] as const) {
  test(`POST ${path} ${JSON.stringify(body)} is refused and does not reach the daemon`, async (t) => {
    const calls: unknown[][] = [];
    const socket = await serve(t, fakeDaemon(calls));
    const error = await t.throwsAsync(callApi(socket, 'POST', path, body), { instanceOf: Refused });
    t.false(error.message.includes('\n'));
    t.deepEqual(calls, []);
  });
}

test("the daemon's refusal reaches the client as one line", async (t) => {
  const socket = await serve(t, fakeDaemon([], { prime: new Error('awaiting consensus\nsecond line') }));
  await t.throwsAsync(callApi(socket, 'POST', '/prime'), {
    instanceOf: Refused,
    message: 'awaiting consensus',
  });
});

test('a client that goes away aborts what it asked for', async (t) => {
  let aborted: (() => void) | undefined;
  const seen = new Promise<void>((resolve) => (aborted = resolve));
  let begun: (() => void) | undefined;
  const waiting = new Promise<void>((resolve) => (begun = resolve));
  const prime = (signal: AbortSignal) => {
    signal.addEventListener('abort', () => aborted?.());
    begun?.();
    return seen;
  };
  const socket = await serve(t, fakeDaemon([], { prime }));
  const { request } = await import('node:http');
  const call = request({ socketPath: socket, method: 'POST', path: '/prime', agent: false });
  call.on('error', () => undefined);
  call.end();
  await waiting;
  call.destroy();
  await seen;
  t.pass();
});

test('without a daemon the client says so, and a file that is no socket is left alone', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'weave-ts-api-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'api.sock');
  await t.throwsAsync(callApi(path, 'GET', '/status'), {
    instanceOf: NoDaemon,
    message: /no daemon answers on/,
  });
  writeFileSync(path, 'precious');
  await t.throwsAsync(checkSocketPath(path), { message: /is not a socket/ });
  t.is(readFileSync(path, 'utf8'), 'precious');
});

test('a socket that a daemon serves is not taken from it', async (t) => {
  const socket = await serve(t, fakeDaemon([]));
  await t.throwsAsync(checkSocketPath(socket), { message: /a daemon already answers on/ });
});
