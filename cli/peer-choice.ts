import { parsePeerName } from '../core/peer-name.ts';
import type { PeerRef } from '../router/api/daemon.ts';
import type { RouterStatus } from '../router/status.ts';
import { BadValue } from './exit.ts';

/** The one other peer of that name or nickname. Throws {@link BadValue} if it is none, several, or this host. */
export function choosePeer(router: Pick<RouterStatus, 'name' | 'peers'>, wanted: string): PeerRef {
  const name = parsePeerName(wanted);
  const found = router.peers.filter((peer) => peer.name === name || peer.nickname === wanted);
  const [peer, second] = found;
  if (peer === undefined)
    throw new BadValue(`no peer is called "${wanted}": weave-ts status peers lists them`);
  if (second !== undefined) {
    const names = found.map((each) => each.name).join(', ');
    throw new BadValue(`"${wanted}" is the nickname of ${found.length} peers: name one of ${names}`);
  }
  if (peer.name === router.name) throw new BadValue(`"${wanted}" is this host: name another peer`);
  return { peer: peer.name, nickname: peer.nickname };
}

/** The peers whose session keys can be renewed: all whose link is up, or the one that is wanted. Throws {@link BadValue}. */
export function peersToRekey(router: RouterStatus, wanted: string | undefined): PeerRef[] {
  if (!router.encryption) throw new BadValue('no password is set: links have no keys to renew');
  const linked = router.links
    .filter(({ state }) => state === 'up')
    .map(({ peer, nickname }) => ({ peer, nickname }));
  if (wanted === undefined) return linked;
  const { peer, nickname } = choosePeer(router, wanted);
  const chosen = linked.filter((each) => each.peer === peer);
  if (chosen.length === 0)
    throw new BadValue(`the link with ${peer} (${nickname}) is not up: nothing to renew`);
  return chosen;
}
