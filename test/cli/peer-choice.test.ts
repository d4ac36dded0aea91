import test from 'ava';
import { choosePeer, peersToRekey } from '../../cli/peer-choice.ts';
import type { LinkStatus, RouterStatus } from '../../router/status.ts';

const name = (number: number) => `02:00:00:00:00:0${number}`;
const peers = [
  { name: name(1), nickname: 'host1', neighbours: [] },
  { name: name(2), nickname: 'host2', neighbours: [] },
  { name: name(3), nickname: 'twin', neighbours: [] },
  { name: name(4), nickname: 'twin', neighbours: [] },
];
const links = [
  { peer: name(2), nickname: 'host2', state: 'up' },
  { peer: name(3), nickname: 'twin', state: 'down' },
  { peer: name(4), nickname: 'twin', state: 'probing' },
] as LinkStatus[];
const router = { name: name(1), encryption: true, peers, links } as unknown as RouterStatus;
const host2 = { peer: name(2), nickname: 'host2' };

test('a peer is found by its nickname, by its name, and by a short form of that', (t) => {
  for (const wanted of ['host2', name(2), '02::2', name(2).toUpperCase()]) {
    t.deepEqual(choosePeer(router, wanted), host2, wanted);
  }
  t.deepEqual(choosePeer(router, name(4)), { peer: name(4), nickname: 'twin' });
});

for (const [wanted, message] of [
  ['host9', /no peer is called "host9"/],
  ['', /no peer is called ""/],
  ['host1', /"host1" is this host/],
  ['twin', /nickname of 2 peers: name one of 02:00:00:00:00:03, 02:00:00:00:00:04/],
] as const) {
  test(`"${wanted}" is refused with a sentence`, (t) => {
    t.throws(() => choosePeer(router, wanted), { message });
  });
}

test('keys are renewed with the wanted peer, or with all whose link is up', (t) => {
  t.deepEqual(peersToRekey(router, undefined), [host2]);
  t.deepEqual(peersToRekey(router, 'host2'), [host2]);
  t.throws(() => peersToRekey(router, name(3)), {
    message: 'the link with 02:00:00:00:00:03 (twin) is not up: nothing to renew',
  });
  t.deepEqual(peersToRekey({ ...router, links: [] }, undefined), []);
  t.throws(() => peersToRekey({ ...router, encryption: false }, undefined), {
    message: /no password is set/,
  });
});
