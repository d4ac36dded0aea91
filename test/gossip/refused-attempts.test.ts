import test from 'ava';
import { RefusedAttempts } from '../../gossip/refused-attempts.ts';
import { endpoint } from './mesh.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

function attempt(error: string, at = 0) {
  return { peer: '', nickname: '', error, at };
}

/** Uses up the lines that the log has room for. */
function exhausted(): RefusedAttempts {
  const made = new RefusedAttempts();
  for (let i = 0; i < 20; i++) made.add(endpoint(`198.51.100.${i}`), 'not-weave-ts', attempt('nonsense'));
  return made;
}

test('what a stranger writes makes neither rows nor lines: one of each per source and reason', (t) => {
  const made = new RefusedAttempts();
  const lines = Array.from({ length: 78 }, (_, version) =>
    made.add(
      endpoint('192.0.2.1', 1_024 + version),
      'version-mismatch',
      attempt(`speaks version ${version}`),
    ),
  );
  t.deepEqual(lines.filter(Boolean), [true]);
  t.deepEqual(made.list(0), [{ ...attempt('speaks version 77'), address: '192.0.2.1:1101' }]);
});

test('a source has four rows and four lines, however many reasons it gives; what is kept of others stays', (t) => {
  const made = new RefusedAttempts();
  made.add(endpoint('203.0.113.5'), 'password-mismatch', attempt('genuine'));
  let lines = 0;
  for (let i = 0; i < 1_000; i++) {
    const from = endpoint(`2001:db8::${(i + 1).toString(16)}`);
    if (made.add(from, `reason-${i % 23}`, attempt(`error ${i}`))) lines++;
  }
  t.is(lines, 4);
  t.deepEqual(
    made.list(0).map(({ error }) => error),
    ['genuine', 'error 996', 'error 997', 'error 998', 'error 999'],
  );
});

test('of more than 64 rows the oldest goes', (t) => {
  const made = new RefusedAttempts();
  for (let i = 0; i < 65; i++) made.add(endpoint(`198.51.100.${i}`), 'not-weave-ts', attempt(`number ${i}`));
  const errors = made.list(0).map(({ error }) => error);
  t.is(errors.length, 64);
  t.is(errors[0], 'number 1');
});

test('what came when the log had no room is logged when it comes again', (t) => {
  const made = exhausted();
  const again = (at: number) =>
    made.add(endpoint('203.0.113.5'), 'password-mismatch', attempt('genuine', at));
  t.false(again(0));
  t.false(again(10 * SECOND - 1));
  t.true(again(10 * SECOND));
  t.false(again(60 * SECOND), 'once');
  t.is(made.list(60 * SECOND).filter(({ error }) => error === 'genuine').length, 1);
});

test('after five minutes without another an attempt is forgotten, and the next is logged', (t) => {
  const made = new RefusedAttempts();
  const again = (at: number) =>
    made.add(endpoint('203.0.113.5'), 'password-mismatch', attempt('genuine', at));
  t.true(again(0));
  t.false(again(5 * MINUTE - 1));
  t.true(again(10 * MINUTE));
  t.deepEqual(made.list(15 * MINUTE), []);
});
