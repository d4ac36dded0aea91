import { equalTags } from './crypto/primitives.ts';

/** What became of the passwords at a rotation. */
export interface PasswordChange {
  /** By position before: where that password is now; undefined if it was dropped. */
  readonly newIndexOf: readonly (number | undefined)[];
  readonly added: number;
  readonly dropped: number;
}

/** The passwords that this node accepts; the first is the one that it dials with. Owns their bytes and wipes them. */
export class HeldPasswords {
  #list: readonly Uint8Array[];

  /** None, one or two. */
  constructor(passwords: readonly Uint8Array[]) {
    this.#list = passwords;
  }

  get list(): readonly Uint8Array[] {
    return this.#list;
  }

  /** Takes over `next` in place of what was held. */
  replace(next: readonly Uint8Array[]): PasswordChange {
    const before = this.#list;
    const newIndexOf = before.map((old) => positionOf(old, next));
    const added = next.filter((password) => positionOf(password, before) === undefined).length;
    this.#list = next;
    for (const old of before) if (!next.includes(old)) old.fill(0);
    return { newIndexOf, added, dropped: newIndexOf.filter((at) => at === undefined).length };
  }

  wipe(): void {
    for (const password of this.#list) password.fill(0);
  }
}

function positionOf(password: Uint8Array, list: readonly Uint8Array[]): number | undefined {
  const at = list.findIndex((each) => equalTags(each, password));
  return at < 0 ? undefined : at;
}
