import test from 'ava';
import type { ExecutionContext } from 'ava';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeCallBody } from '../../../plugin/cni/call-body.ts';
import { Turns } from '../../../plugin/host/turns.ts';
import { callCni, NETWORK, SHIM, startCni } from '../../netns/cni-lab.ts';
import type { CniCall, CniOutcome } from '../../netns/cni-lab.ts';

interface Times {
  /** Milliseconds, as the programs know them. */
  readonly patience: number;
  readonly deadline: number;
}

/** Where what is tested is that they give up, the programs wait less than in use; elsewhere they never give up. */
const HASTY: Times = { patience: 3_000, deadline: 8_000 };
const PATIENT: Times = { patience: 60_000, deadline: 90_000 };

const built = mkdtempSync(join(tmpdir(), 'weave-shim-'));
const BUILDS = { C: buildC, Node: buildNode };
const programOf = (kind: string, times: Times): string => join(built, `${kind}-${times.deadline}`);
test.before(() => {
  for (const [kind, build] of Object.entries(BUILDS)) {
    for (const times of [HASTY, PATIENT]) build(programOf(kind, times), times);
  }
});
test.after.always(() => rmSync(built, { recursive: true, force: true }));

function buildC(program: string, { patience, deadline }: Times): void {
  const script = fileURLToPath(new URL('../../../../native/build-shim.mjs', import.meta.url));
  execFileSync(process.execPath, [script, '--times', String(patience), String(deadline), program]);
}

function buildNode(program: string, times: Times): void {
  const module = new URL('../../../plugin/cni/node-shim.js', import.meta.url).href;
  const text = `import(${JSON.stringify(module)}).then((shim) => shim.runNodeShim('weave-ts-ipam', ${JSON.stringify(times)}));`;
  writeFileSync(program, `#!${process.execPath}\n${text}\n`);
  chmodSync(program, 0o755);
}

interface Place {
  readonly socket: string;
  readonly spool: string;
  /** What was asked, whole. */
  readonly asked: Buffer[];
}

/** A directory of its own; with `answer`, somebody who listens there. */
async function place(
  t: ExecutionContext,
  answer?: (socket: Socket, request: Buffer) => void,
): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), 'weave-shim-'));
  const socket = join(directory, 'run', 'api.sock');
  const asked: Buffer[] = [];
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const result = { socket, spool: join(directory, 'run', 'api.cni-spool'), asked };
  if (answer !== undefined) await listen(t, socket, asked, answer);
  return result;
}

async function listen(
  t: ExecutionContext,
  socket: string,
  asked: Buffer[],
  answer: (socket: Socket, request: Buffer) => void,
): Promise<void> {
  mkdirSync(join(socket, '..'), { recursive: true });
  const server = createServer((connection) => {
    const chunks: Buffer[] = [];
    let size = 0;
    connection.on('error', () => undefined);
    connection.on('data', (chunk) => {
      chunks.push(chunk);
      size += chunk.length;
      const head = chunks[0]!.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(chunks[0]!.toString('latin1', 0, head))?.[1]);
      if (size < head + 4 + length) return;
      const request = Buffer.concat(chunks);
      asked.push(request.subarray(head + 4));
      answer(connection, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.teardown(() => server.close());
}

function reply(status: string, body: string): (socket: Socket) => void {
  return (socket) =>
    socket.end(
      `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
}

/** Calls under way at once. Of more, on a busy machine, some would not get their input within their time. */
const turns = new Turns(4);

/** None outlives its test, whatever becomes of it. */
function started(t: ExecutionContext, call: CniCall): ReturnType<typeof startCni> {
  const running = startCni(call);
  t.teardown(() => running.child.kill('SIGKILL'));
  return running;
}

for (const kind of Object.keys(BUILDS)) {
  const [hasty, program] = [programOf(kind, HASTY), programOf(kind, PATIENT)];
  const begun = (command: string, socket: string, more: Partial<CniCall> = {}): Promise<CniOutcome> =>
    callCni({
      command,
      program,
      name: 'weave-ts-ipam',
      containerId: 'c1',
      netns: '/run/netns/n1',
      ifname: 'eth0',
      config: { ...NETWORK, socket },
      ...more,
    });
  const call = (...args: Parameters<typeof begun>): Promise<CniOutcome> => turns.take(() => begun(...args));

  test(`${kind}: the daemon gets environment and input, and its answer is printed`, async (t) => {
    const { socket, asked } = await place(t, reply('200 OK', '{"cniVersion":"1.1.0"}'));
    const config = JSON.stringify({ name: 'n', x: '\u0000ü', socket });
    const outcome = await call('ADD', socket, { args: 'A=1;B=2', config });
    t.is(outcome.code, 0);
    t.is(outcome.stdout.trim(), '{"cniVersion":"1.1.0"}');
    const { environment, input } = decodeCallBody(asked[0]!)!;
    t.deepEqual(Object.fromEntries(environment), {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: '/run/netns/n1',
      CNI_IFNAME: 'eth0',
      CNI_ARGS: 'A=1;B=2',
      CNI_PATH: '/opt/cni/bin',
      WEAVE_TS_PROGRAM: 'weave-ts-ipam',
    });
    t.is(input, config);
  });

  test(`${kind}: row 1, 2: a refusal of the daemon is printed on standard output and is exit code 1`, async (t) => {
    const error = '{"cniVersion":"1.1.0","code":7,"msg":"no"}';
    const { socket } = await place(t, reply('422 Unprocessable Entity', error));
    const outcome = await call('ADD', socket);
    t.deepEqual([outcome.code, outcome.stdout, outcome.stderr], [1, error, '']);
  });

  test(`${kind}: without a daemon ADD waits and is for later, STATUS says so at once, in the version asked`, async (t) => {
    const { socket, spool } = await place(t);
    const [add, status] = await Promise.all([
      call('ADD', socket, { program: hasty, config: { ...NETWORK, cniVersion: '0.4.0', socket } }),
      call('STATUS', socket, { program: hasty }),
    ]);
    t.like(add.json, { cniVersion: '0.4.0', code: 11 });
    t.is(add.code, 1);
    t.true(add.ms >= HASTY.patience);
    t.like(status.json, {
      code: 50,
      msg: `no daemon answers on ${socket}: start one with "weave-ts launch"`,
    });
    t.true(status.ms < add.ms);
    t.throws(() => readdirSync(spool));
  });

  test(`${kind}: a daemon that comes meanwhile gets the ADD`, async (t) => {
    const { socket } = await place(t);
    const { code } = await turns.take(async () => {
      const pending = begun('ADD', socket);
      await new Promise((resolve) => setTimeout(resolve, 300));
      await listen(t, socket, [], reply('200 OK', '{}'));
      return pending;
    });
    t.is(code, 0);
  });

  test(`${kind}: without a daemon DEL succeeds and is kept, once each, for its start`, async (t) => {
    const { socket, spool } = await place(t);
    t.deepEqual([(await call('DEL', socket)).code, (await call('DEL', socket, { netns: '' })).code], [0, 0]);
    const kept = readdirSync(spool).sort();
    t.is(kept.length, 2);
    t.true(kept.every((name) => /^\d+-\d+.*\.del$/.test(name)));
    t.is(statSync(spool).mode & 0o777, 0o700);
    t.is(statSync(join(spool, kept[0]!)).mode & 0o777, 0o600);
    const { environment, input } = decodeCallBody(readFileSync(join(spool, kept[0]!)))!;
    t.is(environment.get('CNI_COMMAND'), 'DEL');
    t.deepEqual(JSON.parse(input), { ...NETWORK, socket });
  });

  test(`${kind}: a DEL that cannot be kept is error 5`, async (t) => {
    const outcome = await call('DEL', '/dev/null/run/api.sock');
    t.is(outcome.code, 1);
    t.is(outcome.json?.code, 5);
  });

  test(`${kind}: a daemon that hangs is given up: ADD for later, DEL kept`, async (t) => {
    const { socket, spool } = await place(t, () => undefined);
    const [add, del] = await Promise.all([
      call('ADD', socket, { program: hasty }),
      call('DEL', socket, { program: hasty }),
    ]);
    t.like(add.json, { code: 11, msg: `the daemon on ${socket} did not answer in time` });
    t.true(add.ms >= HASTY.deadline);
    t.is(del.code, 0);
    t.is(readdirSync(spool).length, 1);
  });

  test(`${kind}: STATUS of a daemon that hangs is answered sooner than what changes something`, async (t) => {
    const { socket } = await place(t, () => undefined);
    const [add, status] = await Promise.all([
      call('ADD', socket, { program: hasty }),
      call('STATUS', socket, { program: hasty }),
    ]);
    t.like(status.json, { code: 50, msg: `the daemon on ${socket} did not answer in time` });
    t.is(status.code, 1);
    t.true(status.ms < add.ms);
  });

  test(`${kind}: an input that does not end is error 5`, async (t) => {
    for (const command of ['ADD', 'STATUS']) {
      const running = started(t, { command, program: hasty, containerId: 'c', netns: '/n', ifname: 'eth0' });
      running.child.stdin.write('{"cniVersion":"1.0.0"');
      const outcome = await running.outcome;
      t.is(outcome.code, 1);
      t.like(outcome.json, { code: 5, msg: 'standard input cannot be read' });
    }
  });

  test(`${kind}: a socket that cannot be one is error 7, and is not replaced by the default`, async (t) => {
    const { socket, asked } = await place(t, reply('200 OK', ''));
    const environment = { WEAVE_TS_SOCKET: socket };
    for (const value of ['7', 'true', '{"a":"/x"}', '["/x"]', '"/x\\u0000"']) {
      const config = `{"cniVersion":"1.0.0","a":[1],"socket":${value},"name":"n"}`;
      const outcome = await call('ADD', '', { config, environment });
      t.is(outcome.code, 1, value);
      t.like(outcome.json, { cniVersion: '1.0.0', code: 7 });
    }
    t.is(asked.length, 0);
    for (const value of ['null', '""']) {
      const config = `{"cniVersion":"1.0.0","socket":${value},"name":"n"}`;
      t.is((await call('ADD', '', { config, environment })).code, 0, value);
    }
  });

  test(`${kind}: standard streams that are closed are neither read nor written`, async (t) => {
    const { socket, asked } = await place(t, reply('200 OK', '{}'));
    const script = join(socket, '..', 'closed');
    writeFileSync(script, `#!/bin/sh\nexec ${program} >&- 2>&-\n`, { mode: 0o755 });
    const outcome = await call('ADD', socket, { program: script });
    t.deepEqual([outcome.code, outcome.stdout], [0, '']);
    t.deepEqual(JSON.parse(decodeCallBody(asked[0]!)!.input), { ...NETWORK, socket });
  });

  test(`${kind}: half an answer is none: ADD for later, DEL kept`, async (t) => {
    const half = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"cniVersion":';
    const { socket, spool } = await place(t, (connection) => connection.end(half));
    t.like((await call('ADD', socket)).json, {
      code: 11,
      msg: `the daemon on ${socket} broke off its answer`,
    });
    t.is((await call('DEL', socket)).code, 0);
    t.is(readdirSync(spool).length, 1);
    const header = await place(t, (connection) => connection.end('HTTP/1.1 200 OK\r\nContent-Length: 5'));
    t.is((await call('CHECK', header.socket)).json?.code, 11);
    const nothing = await place(t, (connection) => connection.destroy());
    t.is((await call('CHECK', nothing.socket)).json?.code, 11);
  });

  test(`${kind}: who answers something else is not taken for the daemon`, async (t) => {
    for (const answer of [
      '220 mail.example ESMTP\r\nmore of that\r\n',
      'HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}',
    ]) {
      const { socket } = await place(t, (connection) => connection.end(answer));
      const outcome = await call('DEL', socket);
      t.is(outcome.code, 1);
      t.is(outcome.json?.code, 100);
    }
  });

  test(`${kind}: 1 MiB of configuration arrives whole, more than 4 MiB is refused`, async (t) => {
    const { socket, asked } = await place(t, reply('200 OK', ''));
    const config = JSON.stringify({ ...NETWORK, padding: 'x'.repeat(1 << 20), socket });
    t.is((await call('ADD', socket, { config })).code, 0);
    t.is(decodeCallBody(asked[0]!)!.input, config);
    t.is((await call('ADD', socket, { config: 'x'.repeat((4 << 20) + 1) })).json?.code, 6);
  });

  test(`${kind}: row 29: VERSION needs no daemon and no input`, async (t) => {
    const supportedVersions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
    const silent = await call('VERSION', '/nowhere', { config: '' });
    t.deepEqual(silent.json, { cniVersion: '1.1.0', supportedVersions });
    const old = await call('VERSION', '/nowhere', { config: { cniVersion: '0.3.1' } });
    t.deepEqual(old.json, { cniVersion: '0.3.1', supportedVersions });
  });

  test(`${kind}: without a command it says what it is, an unknown one is error 4`, async (t) => {
    const about = await call('', '/nowhere');
    t.deepEqual([about.code, about.stdout], [0, '']);
    t.regex(about.stderr, /weave-ts CNI plugin/);
    t.like((await call('EXPLODE', '/nowhere')).json, { code: 4, details: 'EXPLODE' });
  });

  test(`${kind}: the socket is that of the configuration, else of the environment`, async (t) => {
    const { socket } = await place(t, reply('200 OK', ''));
    const environment = { WEAVE_TS_SOCKET: socket };
    t.is((await call('ADD', '', { config: NETWORK, environment })).code, 0);
    const nested = `{"args":{"socket":"/x"},"list":["}",{"socket":"/y"}],"socket" : "/z","socket":${JSON.stringify(socket)} }`;
    t.is((await call('ADD', '', { config: nested })).code, 0);
  });

  test(`${kind}: a signal ends it at once and leaves nothing half-written; being stopped does it no harm`, async (t) => {
    const { socket, spool } = await place(t);
    const waiting = started(t, { command: 'ADD', program, containerId: 'c', netns: '/n', ifname: 'eth0' });
    waiting.child.stdin.end(JSON.stringify({ ...NETWORK, socket }));
    setTimeout(() => waiting.child.kill('SIGTERM'), 400);
    t.is((await waiting.outcome).signal, 'SIGTERM');
    t.throws(() => readdirSync(spool));
    const connections: Socket[] = [];
    const slow = await place(t, (connection) => void connections.push(connection));
    const stopped = started(t, { command: 'ADD', program, containerId: 'c', netns: '/n', ifname: 'eth0' });
    stopped.child.stdin.end(JSON.stringify({ ...NETWORK, socket: slow.socket }));
    while (connections.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    stopped.child.kill('SIGSTOP');
    const state = (): string => readFileSync(`/proc/${stopped.child.pid}/stat`, 'utf8').split(') ')[1]![0]!;
    while (state() !== 'T') await new Promise((resolve) => setTimeout(resolve, 10));
    reply('200 OK', '{}')(connections[0]!);
    stopped.child.kill('SIGCONT');
    t.deepEqual([(await stopped.outcome).code, (await stopped.outcome).stdout], [0, '{}']);
  });

  test(`${kind}: a signal that its caller ignores ends it all the same`, async (t) => {
    const { socket } = await place(t);
    const script = `trap '' TERM HUP; exec "$PROGRAM"`;
    const deaf = join(socket, '..', '..', 'deaf');
    writeFileSync(deaf, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const call = { command: 'ADD', program: deaf, containerId: 'c', netns: '/n', ifname: 'eth0' };
    const { child, outcome } = started(t, { ...call, environment: { PROGRAM: program } });
    child.stdin.end(JSON.stringify({ ...NETWORK, socket }));
    setTimeout(() => child.kill('SIGTERM'), 1_000);
    t.is((await outcome).signal, 'SIGTERM');
  });

  test(`${kind}: an answer that nobody reads holds it no longer than its time`, async (t) => {
    const { socket } = await place(t, reply('200 OK', JSON.stringify({ padding: 'x'.repeat(4_000_000) })));
    const call = { command: 'ADD', program: hasty, containerId: 'c', netns: '/n', ifname: 'eth0' };
    const { child } = started(t, call);
    child.stdout.pause();
    const end = new Promise<boolean>((resolve) => {
      child.on('exit', (code, signal) => {
        child.stdout.destroy();
        resolve(code === 1 || signal === 'SIGALRM');
      });
    });
    child.stdin.end(JSON.stringify({ ...NETWORK, socket }));
    t.true(await end);
  });

  test(`${kind}: a reader that has gone is no crash`, async (t) => {
    const { socket } = await place(t, reply('200 OK', JSON.stringify({ padding: 'x'.repeat(200_000) })));
    const { child } = started(t, { command: 'ADD', program, containerId: 'c', netns: '/n', ifname: 'eth0' });
    child.stdout.destroy();
    const end = new Promise<(number | string | null)[]>((resolve) => {
      child.on('exit', (code, signal) => resolve([code, signal]));
    });
    child.stdin.end(JSON.stringify({ ...NETWORK, socket }));
    t.deepEqual(await end, [1, null]);
  });
}

test('the program is static and small', (t) => {
  const limit = execFileSync('sh', ['-c', 'command -v musl-gcc || true']).length > 0 ? 100_000 : 720_000;
  t.true(statSync(SHIM).size < limit);
  const header = readFileSync(SHIM);
  const programHeaders = Number(header.readBigUInt64LE(32));
  const count = header.readUInt16LE(56);
  const types = Array.from({ length: count }, (_, i) => header.readUInt32LE(programHeaders + i * 56));
  // PT_INTERP: what a program that needs shared libraries has.
  t.false(types.includes(3));
});
