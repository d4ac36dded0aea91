import type { PeerName } from '../core/peer-name.ts';
import type { MemberEntry, Owner, VoterEntry } from './entries.ts';

/** What entries are told apart by, here and in the digest; a ring's segments have keys of their own there. */
export function ringKey(clusterId: string, range: string): string {
  return `${clusterId} ${range}`;
}

export function hintKey(name: PeerName): string {
  return `hint ${name}`;
}

export function memberKey({ name, generation }: MemberEntry): string {
  return ownerKey({ owner: name, generation });
}

export function ownerKey({ owner, generation }: Owner): string {
  return `member ${owner} ${generation}`;
}

export function voterKey(entry: VoterEntry): string {
  return `voter ${entry.name} ${entry.generation} ${entry.range}`;
}
