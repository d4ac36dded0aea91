import test from 'ava';
import { toHex, utf8 } from '../../core/bytes.ts';
import { runCpaceJob } from '../../router/crypto/cpace.ts';
import { wipeCpace } from '../../router/crypto/cpace-secrets.ts';
import { spellings } from '../spellings.ts';
import { ControlNet } from './control-net.ts';
import type { TestNode } from './control-net.ts';

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

test('what a job of the crypto thread and its result hold of secrets can be wiped', (t) => {
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
  wipeCpace({ job: start, result: started });
  wipeCpace({ job: answerJob, result: answered });
  wipeCpace({ job: finish, result: finished });
  wipeCpace({ result: { type: 'refused' } });
  const secrets = [
    start.password,
    start.seed,
    started.scalar,
    answerJob.password,
    answerJob.seed,
    answered.isk,
  ];
  for (const secret of [...secrets, scalar, finished.isk]) t.true(secret.every((byte) => byte === 0));
  t.true(
    elementA.some((byte) => byte !== 0),
    'what was sent stays',
  );
});
