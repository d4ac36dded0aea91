import type { Millis } from '../core/time.ts';
import { tellsOf } from './commit-failure.ts';
import type { CommitQueue } from './commit-queue.ts';
import type { Asked, Deferred, Granted } from './effects.ts';
import type { Holdings } from './holdings.ts';

/** A request whose answer nobody has seen. */
interface Unanswered {
  readonly request: number;
  readonly asked: Asked;
}

/**
 * Takes back what ids were given and is not on its way to the disk yet, where the ring says by now that it is somebody
 * else's: while the disk is full that can take long. Returns what was asked for, to be asked for anew.
 */
export function takeBackLost(holdings: Holdings, queue: CommitQueue<Deferred>, now: Millis): Unanswered[] {
  const lost = new Set(holdings.lost());
  if (lost.size === 0) return [];
  const gone: Granted[] = [];
  const isLost = (output: Deferred): boolean => {
    const granted = output.type === 'effect' ? output.asked?.granted : undefined;
    const offset = granted && holdings.range.offsetOf(granted.address);
    if (offset === undefined || !lost.has(offset)) return false;
    if (holdings.allocations.holderOf(offset) !== granted!.id) return false;
    gone.push(granted!);
    return true;
  };
  const answers = queue.withdraw(isLost);
  for (const { id, address } of gone) holdings.release(id, address, now);
  const repeats = queue.withdraw((output) => gone.some((one) => tellsOf(output, one)));
  return [...answers, ...repeats].flatMap(unanswered);
}

function unanswered(output: Deferred): Unanswered[] {
  if (output.type === 'show' || output.effect.type !== 'reply' || output.asked === undefined) return [];
  return [{ request: output.effect.request, asked: output.asked }];
}
