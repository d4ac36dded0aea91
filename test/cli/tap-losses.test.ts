import test from 'ava';
import { TapLosses, sendDrops } from '../../cli/tap-losses.ts';

const DEVICES = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  250520    2507    0    0    0     0          0         0   250520    2507    0    0    0     0       0          0
weave-tap:11 12 13 14 15 16 17 18 21 22 23 2400 25 26 27 28
 weave-tap2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
`;

test('frames that the kernel dropped on the way to a device are found by its whole name', (t) => {
  t.is(sendDrops(DEVICES, 'weave-tap'), 2400);
  t.is(sendDrops(DEVICES, 'weave-tap2'), 12);
  t.is(sendDrops(DEVICES, 'lo'), 0);
  t.is(sendDrops(DEVICES, 'weave'), undefined);
  t.is(sendDrops('', 'lo'), undefined);
});

test('a device that is not there has lost nothing', (t) => {
  t.deepEqual(new TapLosses('no-such-device').drops(), {});
});
