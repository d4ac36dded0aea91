import type { PeerName } from '../core/peer-name.ts';
import { compareNames, parsePeerName } from '../core/peer-name.ts';
import type { IpamPeer } from './effects.ts';
import type { MemberEntry } from './entries.ts';

export interface NamedPeer {
  readonly name: PeerName;
  readonly nickname: string;
}

/** Names and nicknames of all peers that are known from anywhere: alive, or only owners of space. */
export class PeerDirectory {
  readonly #nicknames = new Map<PeerName, string>();
  readonly #reachable = new Set<PeerName>();

  constructor(
    peers: readonly IpamPeer[],
    members: Iterable<MemberEntry>,
    owners: Iterable<PeerName>,
    removed: readonly NamedPeer[],
  ) {
    for (const name of owners) this.#nicknames.set(name, '');
    for (const { name, nickname } of [...removed, ...members, ...peers]) {
      if (nickname !== '' || !this.#nicknames.has(name)) this.#nicknames.set(name, nickname);
    }
    for (const { name, reachable } of peers) if (reachable) this.#reachable.add(name);
  }

  nicknameOf(name: PeerName): string {
    return this.#nicknames.get(name) ?? '';
  }

  /** The one peer of that name or nickname, or a sentence that says why there is none. */
  find(text: string): NamedPeer | string {
    const name = parsePeerName(text);
    const found = [...this.#nicknames]
      .filter(([each, nickname]) => each === name || nickname === text)
      .sort(([a], [b]) => compareNames(a, b));
    const [first, ...more] = found;
    if (first === undefined) {
      return `no peer is called "${text}": weave-ts status ipam lists the owners of addresses`;
    }
    if (more.length === 0) return { name: first[0], nickname: first[1] };
    const names = found.map(
      ([each]) => `${each} (${this.#reachable.has(each) ? 'in reach' : 'out of reach'})`,
    );
    return `"${text}" is the nickname of ${found.length} peers: name one of ${names.join(', ')}`;
  }
}

/** "NICK (NAME)", or the bare name where no nickname is known. */
export function labelled({ name, nickname }: NamedPeer): string {
  return nickname === '' ? name : `${nickname} (${name})`;
}
