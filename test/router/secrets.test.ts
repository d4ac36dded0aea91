import test from 'ava';
import { toHex, utf8 } from '../../core/bytes.ts';
import { runCpaceJob, wipeResult } from '../../router/crypto/cpace.ts';
import { loadSodium } from '../../router/crypto/sodium.ts';
import { spellings } from '../spellings.ts';
import { ControlNet } from './control-net.ts';
import type { TestNode } from './control-net.ts';

await loadSodium();

/** JSON with bytes as hexadecimal digits. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === 'bigint') return String(each);
    return each instanceof Uint8Array ? toHex(each) : each;
  });
}

function secretsOf(node: TestNode): Uint8Array[] {
  const keys = node.sent('session').map(({ session }) => session.keys!);
  return [node.identity.staticKey.secret, ...keys.flatMap(({ send, receive }) => [send, receive])];
}

test('report, status and log of every level hold no password, no static key and no session key', (t) => {
  const net = new ControlNet();
  const nodes = [1, 2, 3].map((number) => net.start(number, { passwords: [utf8('marker-one')] }));
  for (const node of nodes.slice(1)) net.connect(node, nodes[0]!);
  net.run(30_000);
  for (const passwords of [['marker-one', 'marker-two'], ['marker-two']]) {
    for (const node of nodes) {
      node.node.onPasswords(passwords.map(utf8), net.now);
      net.settle(node);
    }
    net.run(60_000);
  }
  for (const node of nodes) {
    node.node.requestStatus(1, net.now);
    node.node.requestReport(2, net.now);
    net.settle(node);
    net.run(100);
    const text = textOf([...node.documents.values()]) + node.logs.join('\n');
    t.true(
      text.includes(toHex(node.identity.staticKey.public)),
      'the public key is there, so a key would be found',
    );
    const secrets = secretsOf(node);
    t.true(secrets.length >= 5);
    for (const spelling of [...secrets.flatMap(spellings), 'marker-one', 'marker-two']) {
      t.false(text.includes(spelling));
    }
  }
});

test("what the result of a password job holds of secrets can be wiped, and the job is its owner's", (t) => {
  const bytes = (length: number) => new Uint8Array(length).fill(7);
  const [sid, channelId, associatedA, associatedB] = [bytes(64), bytes(4), bytes(3), bytes(3)];
  const start = { type: 'cpace-start', password: bytes(9), channelId, sid, seed: bytes(64) } as const;
  const started = runCpaceJob(start);
  if (started.type !== 'cpace-started') return t.fail();
  const elementA = started.element;
  const answer = { ...start, type: 'cpace-answer', password: bytes(9), seed: bytes(64) } as const;
  const answerJob = { ...answer, associatedA, associatedB, elementA } as const;
  const answered = runCpaceJob(answerJob);
  if (answered.type !== 'cpace-answered') return t.fail();
  const scalar = started.scalar.slice();
  const elementB = answered.element;
  const finish = { type: 'cpace-finish', sid, scalar, associatedA, associatedB, elementA, elementB } as const;
  const finished = runCpaceJob(finish);
  if (finished.type !== 'cpace-finished') return t.fail();
  t.deepEqual(finished.isk, answered.isk);
  for (const result of [started, answered, finished, { type: 'refused' } as const]) wipeResult(result);
  for (const secret of [started.scalar, answered.isk, finished.isk])
    t.true(secret.every((byte) => byte === 0));
  for (const kept of [start.password, start.seed, answerJob.seed, scalar, elementA]) {
    t.true(kept.some((byte) => byte !== 0));
  }
});
