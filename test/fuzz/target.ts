/**
 * What became of an input: `TAKEN`, perhaps with what was done with it, or the reason that it was refused for. Reasons that begin with `OUTSIDE` are those
 * of the outer check (framing, tag, well-formedness), behind which the fields are judged.
 */
export type Verdict = string;

export const TAKEN: Verdict = 'taken';
export const OUTSIDE = 'outside: ';

/** How an input is made from valid ones: any bytes, MessagePack by its items too, or text. */
export type Shape = 'bytes' | 'msgpack' | 'text';

/** One decoder, or one machine that decodes. */
export interface Target {
  readonly name: string;
  readonly shape: Shape;
  /** Valid inputs: each is taken by a target that is new. */
  readonly samples: readonly Uint8Array[];
  /** How many inputs it gets for one of the most expensive target; about inverse to what an input costs. */
  readonly weight: number;
  /** Throws if a promise is broken: that is a find. Other inputs before may matter, see {@link reset}. */
  run(input: Uint8Array): Verdict | Promise<Verdict>;
  /** Puts a target that has state back to its first one; the harness calls it every {@link RESET_EVERY} inputs. */
  reset?(): void | Promise<void>;
  close?(): void | Promise<void>;
}

export const RESET_EVERY = 512;

export function taken(how: string): Verdict {
  return `${TAKEN}: ${how}`;
}

export function isTaken(verdict: Verdict): boolean {
  return verdict.startsWith(TAKEN);
}

export function passesOutside(verdict: Verdict): boolean {
  return !verdict.startsWith(OUTSIDE);
}

/** A broken promise of a decoder. */
export class Find extends Error {
  override name = 'Find';
}

export function promise(holds: boolean, what: string): void {
  if (!holds) throw new Find(what);
}
