import test from 'ava';
import { runIpamSeeds } from './ipam/ipam-seeds.ts';

test('no address is ever held twice or lost for good, whatever befalls the nodes (even seeds)', async (t) => {
  await runIpamSeeds(t, 2, 2);
});
