import { openSync, readFileSync, readSync, closeSync } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import test, { type ExecutionContext } from 'ava';
import { start } from '../../../scripts/run.ts';
import { freePort } from './udp-net.ts';

const CHUNK = 1 << 20;
const KEY_BYTES = 32;

/** As the program below makes it: no value that chance brings about. */
function keyOf(number: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: KEY_BYTES }, (_, i) => (i * 89 + number * 53 + 7) & 255));
}

/**
 * A process that gives an engine keys 1 and 2 for phase 0, and 3 and 4 for phase 1, seals under both, so many messages that
 * they are sealed at once, and wipes what it gave; then does what it is told, line by line: `remove` the keys of phase 0, `close` the engine.
 */
async function keyHolder(t: ExecutionContext, engine: 'native' | 'portable') {
  const url = (path: string) => JSON.stringify(new URL(`../../../router/${path}`, import.meta.url).href);
  const program = `
    const { openEngine } = await import(${url('engine/choose.js')});
    const { SendPlan } = await import(${url('engine/port.js')});
    const { engine } = await openEngine('${engine}', {
      tap: undefined, address: undefined, port: ${await freePort()}, onReady: () => undefined });
    const give = (phase, first) => {
      const [send, receive] = [0, 0].map(() => new Uint8Array(new ArrayBuffer(${KEY_BYTES})));
      for (let i = 0; i < ${KEY_BYTES}; i++) {
        send[i] = i * 89 + first * 53 + 7;
        receive[i] = i * 89 + (first + 1) * 53 + 7;
      }
      engine.configure([{ type: 'key', session: 1, phase, send, receive }, { type: 'send-phase', session: 1, phase }]);
      send.fill(0);
      receive.fill(0);
    };
    const plan = new SendPlan(20, 100);
    plan.count = 20;
    plan.source.fill(2);
    plan.length.fill(90); plan.session.fill(1); plan.path.fill(1);
    const ip = { family: 4, value: 0x7f000001n };
    engine.configure([{ type: 'session', session: 1, cookies: undefined },
      { type: 'path', path: 1, to: { ip, port: 9 }, sendIndex: 5 }]);
    give(0, 1);
    engine.send(plan);
    give(1, 3);
    engine.send(plan);
    console.log('holding');
    for await (const line of (await import('node:readline')).createInterface({ input: process.stdin })) {
      if (line === 'remove') engine.configure([{ type: 'key-removed', session: 1, phase: 0 }]);
      else await engine.close();
      console.log(line);
    }`;
  const child = start([process.execPath, '--input-type=module', '-e', program]);
  t.teardown(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout! });
  await once(lines, 'line');
  const tell = async (line: string) => {
    const answer = once(lines, 'line');
    child.stdin!.write(line + '\n');
    await answer;
  };
  return { pid: child.pid!, tell };
}

/** A key, and each of its words over and over, as registers hold it that cipher many messages at once. */
function tracesOf(key: Buffer): Buffer[] {
  const words = Array.from({ length: KEY_BYTES / 4 }, (_, i) => key.subarray(4 * i, 4 * i + 4));
  return [key, ...words.map((word) => Buffer.concat([word, word, word, word, word, word, word, word]))];
}

/** How often each of the four keys lies in the process's memory. */
function keysIn(pid: number): number[] {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const counts = [0, 0, 0, 0];
  for (const [, from, to] of readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(
    /^([\da-f]+)-([\da-f]+) rw/gm,
  )) {
    for (const chunk of chunksOf(memory, Number.parseInt(from!, 16), Number.parseInt(to!, 16))) {
      for (const i of counts.keys())
        for (const trace of tracesOf(keyOf(i + 1))) counts[i]! += occurrences(chunk, trace);
    }
  }
  closeSync(memory);
  return counts;
}

/** Chunks overlap by less than a key. */
function* chunksOf(memory: number, from: number, to: number): Generator<Buffer> {
  const chunk = Buffer.alloc(CHUNK);
  for (let at = from; at < to; at += CHUNK - KEY_BYTES + 1) {
    try {
      const read = readSync(memory, chunk, 0, Math.min(CHUNK, to - at), at);
      yield chunk.subarray(0, read);
    } catch {
      // Reserved and never touched, or gone by now.
    }
  }
}

function occurrences(chunk: Buffer, needle: Buffer): number {
  let count = 0;
  for (let at = chunk.indexOf(needle); at >= 0; at = chunk.indexOf(needle, at + 1)) count++;
  return count;
}

test('the native engine leaves no copy of a key in memory once it is removed, and none at all once it is closed', async (t) => {
  const { pid, tell } = await keyHolder(t, 'native');
  const held = keysIn(pid);
  t.true(
    held.every((count) => count > 0),
    `held: ${held.join()}`,
  );
  await tell('remove');
  const [first, second, third, fourth] = keysIn(pid);
  t.deepEqual([first, second], [0, 0]);
  t.true(third! > 0 && fourth! > 0);
  await tell('close');
  t.deepEqual(keysIn(pid), [0, 0, 0, 0]);
});
