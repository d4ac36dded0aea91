import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { silentLog } from '../../../core/log.ts';
import { answers, callApi, NoDaemon, Refused } from '../../../router/api/client.ts';
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

for (const [what, body, sentence] of [
  [
    'a field too many',
    '{"peers":["a"],"__proto__":{"replace":true}}',
    /unknown field "__proto__": it may have peers, replace/,
  ],
  ['a field too few', '{"replace":true}', /lacks the field "peers"/],
  ['a field of another type', '{"peers":["a"],"replace":1}', /the field "replace" is neither true nor false/],
  ['a list of other things', '{"peers":["a",7]}', /the field "peers" has an item that is no text/],
  [
    'a list too long',
    JSON.stringify({ peers: new Array(1_025).fill('a') }),
    /"peers" has not 0 to 1024 items/,
  ],
  ['a text too long', JSON.stringify({ peers: ['a'.repeat(4_097)] }), /has not 1 to 4096 characters/],
  ['a list', '[]', /is no JSON object/],
  ['nothing', '', /is not JSON/],
] as const) {
  test(`a body with ${what} is refused by a sentence that names it`, async (t) => {
    const calls: unknown[][] = [];
    const api = createApi(fakeDaemon(calls), silentLog);
    const request = { method: 'POST', url: '/connect?x', type: 'application/json; charset=utf-8' };
    const answer = await api.answer({ ...request, body: Buffer.from(body) }, new AbortController().signal);
    t.is(answer.status, 400);
    t.regex((JSON.parse(answer.text) as { error: string }).error, sentence);
    t.deepEqual(calls, []);
  });
}

test('a body of another type, a call that there is not, and a bug in the daemon have a status of their own', async (t) => {
  const api = createApi(fakeDaemon([], { ps: new TypeError('a bug') }), silentLog);
  const ask = async (method: string, url: string, type?: string) => {
    const { status } = await api.answer(
      { method, url, type, body: Buffer.from('{}') },
      new AbortController().signal,
    );
    return status;
  };
  t.is(await ask('POST', '/stop', 'text/plain'), 415);
  t.is(await ask('POST', '/cni', 'application/json'), 415);
  t.is(await ask('GET', '/stop'), 404);
  t.is(await ask('GET', '/ps'), 500);
});

test('a body that is too long is refused before it has all come, and the daemon goes on', async (t) => {
  const socket = await serve(t, fakeDaemon([], { status: { version: '1' } }));
  const connection = connect(socket);
  const answer = new Promise<string>((resolve) => {
    let text = '';
    connection.on('data', (chunk) => (text += String(chunk)));
    connection.on('close', () => resolve(text));
    connection.on('error', () => undefined);
  });
  connection.write('POST /stop HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n');
  connection.write(`Content-Length: ${1 << 30}\r\n\r\n${'x'.repeat((1 << 20) + 1)}`);
  t.regex(await answer, /^HTTP\/1\.1 413 /);
  t.deepEqual(await callApi(socket, 'GET', '/status'), { version: '1' });
});

test('one connection may carry several calls', async (t) => {
  const socket = await serve(t, fakeDaemon([], { status: { version: '1' } }));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  for (let i = 0; i < 3; i++) {
    const status = await new Promise((resolve, reject) => {
      const call = request({ socketPath: socket, path: '/status', agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode));
      });
      call.on('error', reject).end();
    });
    t.is(status, 200);
  }
});

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

test('the end of the API cuts off who waits and who has asked nothing, and frees the socket', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'weave-ts-api-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const socket = join(dir, 'api.sock');
  let begun: (() => void) | undefined;
  const waiting = new Promise<void>((resolve) => (begun = resolve));
  const prime = () => {
    begun?.();
    return new Promise(() => undefined);
  };
  const api = createApi(fakeDaemon([], { prime }), silentLog);
  await listenOnSocket(api, socket);
  const silent = connect(socket);
  const cutOff = new Promise((resolve) => silent.on('close', resolve));
  const asked = t.throwsAsync(callApi(socket, 'POST', '/prime'), { message: /broke off/ });
  await waiting;
  await api.close();
  await Promise.all([cutOff, asked]);
  t.false(existsSync(socket));
});

test('a socket whose owner is too busy to take more is not free', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'weave-ts-api-'));
  const socket = join(dir, 'api.sock');
  const listens = `require('net').createServer().listen({ path: process.argv[1], backlog: 1 }, () => {
    process.stdout.write('listens');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  })`;
  const busy = spawn(process.execPath, ['-e', listens, socket], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(() => {
    busy.kill('SIGKILL');
    rmSync(dir, { recursive: true });
  });
  await once(busy.stdout, 'data');
  for (let i = 0; i < 4; i++) {
    const queued = connect(socket);
    t.teardown(() => queued.destroy());
    await new Promise((resolve) => queued.once('connect', resolve).once('error', resolve));
  }
  t.true(await answers(socket));
});
