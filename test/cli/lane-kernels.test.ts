import test from 'ava';
import { laneWarning } from '../../cli/lane-kernels.ts';

for (const [workers, release, warns] of [
  [2, '5.15.0-113-generic', true],
  [2, '6.8.12', true],
  [16, '6.1.0-21-amd64', true],
  [2, '6.9.0', false],
  [2, '6.10.1', false],
  [2, '7.0.0-rc1', false],
  [1, '5.15.0', false],
  [2, 'unheard-of', false],
] as const) {
  test(`${workers} workers on Linux ${release} ${warns ? 'draw a warning' : 'are nothing to warn of'}`, (t) => {
    const expected = `Linux ${release} may join datagrams of several workers over IPv4, which loses some: take --workers 1, or Linux 6.9 or later`;
    t.is(laneWarning(workers, release), warns ? expected : undefined);
  });
}
