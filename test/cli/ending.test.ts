import test from 'ava';
import { Ending } from '../../cli/ending.ts';
import { BadValue } from '../../cli/exit.ts';

test('whoever wants a clean end while one is under way waits for it and hears what went wrong', async (t) => {
  const ending = new Ending();
  let end: (problem: string) => void = () => undefined;
  const first = ending.begin(true, () => new Promise((resolve) => (end = resolve)));
  t.notThrows(() => ending.refuseClean());
  const second = ending.begin(true, () => Promise.resolve('a second end'));
  end('the bridge is busy');
  t.deepEqual(await Promise.all([first, second]), ['the bridge is busy', 'the bridge is busy']);
});

test('a clean end is refused while one is under way that leaves everything', async (t) => {
  const ending = new Ending();
  t.notThrows(() => ending.refuseClean());
  await ending.begin(false, () => Promise.resolve(undefined));
  t.throws(() => ending.refuseClean(), { instanceOf: BadValue, message: /is stopping already, and leaves/ });
});
