import test from 'ava';
import fc from 'fast-check';
import { RecentMacs } from '../../../router/switch/recent-macs.ts';
import { readMac } from '../../../router/wire/mac.ts';

test('a MAC is read as it stands there, whatever was read before', (t) => {
  const macs = new RecentMacs();
  // Few values per byte, so that MACs share slots and parts with one another.
  const mac = fc.uint8Array({ minLength: 6, maxLength: 6, max: 255 });
  const alike = fc.array(fc.constantFrom(0, 1, 4, 128, 255), { minLength: 6, maxLength: 6 });
  fc.assert(
    fc.property(fc.oneof(mac, alike.map(Uint8Array.from.bind(Uint8Array))), fc.nat(9), (bytes, at) => {
      const frame = new Uint8Array(20);
      frame.set(bytes, at);
      t.is(macs.read(frame, at), readMac(bytes, 0));
    }),
    { numRuns: 20_000 },
  );
});

test('MACs that share a slot are told apart', (t) => {
  const macs = new RecentMacs();
  const first = [2, 0, 0, 0, 0, 1];
  const second = [2, 1, 0, 0, 1, 0];
  const frame = Uint8Array.from([...first, ...second]);
  for (let i = 0; i < 3; i++) {
    t.is(macs.read(frame, 0), 0x020000000001);
    t.is(macs.read(frame, 6), 0x020100000100);
  }
});
