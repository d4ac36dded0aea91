import { cpuUsage } from 'node:process';
import { SeededRandom, randomBelow } from '../../core/random.ts';
import type { Coverage } from './coverage.ts';
import type { FlightRecorder } from './flight-recorder.ts';
import { mutatedMsgpack } from './hostile-msgpack.ts';
import { mutated, randomInput } from './mutate.ts';
import { isTaken, passesOutside, RESET_EVERY, type Target, type Verdict } from './target.ts';

/** CPU time beyond which an input is a find: nothing that a peer sends may hold a thread. */
const LONGEST_MS = 2_000;
/** Inputs that were taken, or reached new code, and are mutated further; the oldest gives way. */
const KEPT = 64;
const MOST_REASONS = 100;
/** Inputs between two looks at the coverage, each of which costs as much as hundreds of inputs. */
const LOOK_EVERY = 250;

/** What became of the inputs of one target. */
export interface Tally {
  inputs: number;
  /** Made from a valid input. */
  mutated: number;
  passedOutside: number;
  slowestMs: number;
  totalMs: number;
  readonly reasons: Map<Verdict, number>;
}

/** By the name of the target. */
export type Tallies = ReadonlyMap<string, Tally>;

/** A broken promise, and the inputs since the target was new: the last one did it. */
export interface Found {
  readonly target: string;
  readonly error: string;
  readonly inputs: readonly Uint8Array[];
  /** The last one never came back. */
  readonly hung?: boolean;
}

export interface FuzzerOptions {
  /** CPU time of the whole process that one input may take: of no use beside threads that do other things. */
  readonly longestMs?: number;
  /** Is told each input before it is fed. */
  readonly recorder?: FlightRecorder;
}

interface Lane {
  readonly position: number;
  readonly target: Target;
  readonly tally: Tally;
  /** The samples, then what is kept. */
  readonly corpus: Uint8Array[];
  readonly sinceReset: Uint8Array[];
  kept: number;
}

/** Feeds targets with random, mutated and valid inputs; the same seed gives the same inputs. */
export class Fuzzer {
  readonly #random: SeededRandom;
  readonly #longestMs: number;
  readonly #recorder: FlightRecorder | undefined;
  /** At the start of some inputs that together cost far less than that. */
  #cpuAtBlock = this.#cpuMs();
  readonly #lanes: readonly Lane[];
  /** Position i of each lane's end in the sum of weights. */
  readonly #ends: readonly number[];

  constructor(targets: readonly Target[], seed: number, { longestMs, recorder }: FuzzerOptions = {}) {
    this.#longestMs = longestMs ?? LONGEST_MS;
    this.#recorder = recorder;
    this.#random = new SeededRandom(seed);
    this.#lanes = targets.map((target, position) => ({
      position,
      target,
      tally: newTally(),
      corpus: [...target.samples],
      sinceReset: [],
      kept: 0,
    }));
    let sum = 0;
    this.#ends = targets.map(({ weight }) => (sum += weight));
  }

  get tallies(): Tallies {
    return new Map(this.#lanes.map(({ target, tally }) => [target.name, tally]));
  }

  /** Runs the valid inputs, each of which must be taken by a target that is new. */
  async runSamples(): Promise<Found | undefined> {
    for (const lane of this.#lanes) {
      for (const sample of lane.target.samples) {
        const found =
          (await this.#reset(lane)) ?? (await this.#feed(lane, sample.slice(), { fromValid: false }));
        if (found !== undefined) return found;
        if ([...lane.tally.reasons.keys()].every(isTaken)) continue;
        return { target: lane.target.name, error: 'a valid input was refused', inputs: [sample] };
      }
    }
    return undefined;
  }

  /** Runs `count` inputs, each of a random target; ends early with what it finds. */
  async run(count: number): Promise<Found | undefined> {
    this.#cpuAtBlock = this.#cpuMs();
    for (let i = 0; i < count; i++) {
      const found = this.#step(() => undefined);
      const outcome = found instanceof Promise ? await found : found;
      if (outcome !== undefined) return outcome;
    }
    return undefined;
  }

  /** As {@link run}, but keeps inputs that reach new code: where some do, they run again one by one, to see which. */
  async runGuided(count: number, coverage: Coverage): Promise<Found | undefined> {
    for (let done = 0; done < count; done += LOOK_EVERY) {
      this.#cpuAtBlock = this.#cpuMs();
      const tried: { readonly lane: Lane; readonly input: Uint8Array }[] = [];
      for (let i = 0; i < LOOK_EVERY; i++) {
        const found = await this.#step((lane, input) => tried.push({ lane, input }));
        if (found !== undefined) return found;
      }
      const fresh = new Set(coverage.takeNew());
      for (const { lane, input } of fresh.size > 0 ? tried : []) {
        const found = await this.#feed(lane, input.slice(), { fromValid: true, again: true });
        if (found !== undefined) return found;
        if (coverage.takeAny(fresh)) this.#keep(lane, input);
      }
    }
    return undefined;
  }

  /** One input of a random target. */
  #step(onInput: (lane: Lane, input: Uint8Array) => void): Found | undefined | Promise<Found | undefined> {
    const lane = this.#lanes[this.#pick()]!;
    const fromValid = randomBelow(this.#random, 8) > 0;
    const input = fromValid ? this.#mutate(lane) : randomInput(this.#random);
    onInput(lane, input);
    if (lane.sinceReset.length < RESET_EVERY) return this.#feed(lane, input, { fromValid });
    return this.#reset(lane).then((broken) => broken ?? this.#feed(lane, input, { fromValid }));
  }

  #pick(): number {
    const at = randomBelow(this.#random, this.#ends.at(-1)!);
    return this.#ends.findIndex((end) => at < end);
  }

  #mutate({ target, corpus }: Lane): Uint8Array {
    const sample = corpus[randomBelow(this.#random, corpus.length)]!;
    const byItems = target.shape === 'msgpack' && randomBelow(this.#random, 3) > 0;
    const changed = byItems ? mutatedMsgpack(sample, this.#random, target.samples) : undefined;
    return changed ?? mutated(sample, this.#random, target.samples);
  }

  /** Looked at where the clock says that an input was slow, as a busy machine may have been the reason. */
  #cpuMs(): number {
    const { user, system } = cpuUsage();
    return (user + system) / 1_000;
  }

  /** Not async itself: most targets are not, and there are millions of inputs. */
  #feed(lane: Lane, input: Uint8Array, made: Made): Found | undefined | Promise<Found | undefined> {
    // Without state no earlier input matters.
    if (lane.target.reset === undefined) this.#forget(lane);
    lane.sinceReset.push(input);
    this.#recorder?.add(lane.position, input);
    this.#recorder?.begin(lane.position);
    const began = performance.now();
    const done = (verdict: Verdict): Found | undefined => this.#judge(lane, verdict, made, began);
    try {
      const verdict = lane.target.run(input);
      if (typeof verdict === 'string') return done(verdict);
      return verdict.then(done).catch((error: unknown) => foundIn(lane, error));
    } catch (error) {
      return foundIn(lane, error);
    }
  }

  #judge(lane: Lane, verdict: Verdict, made: Made, began: number): Found | undefined {
    const took = performance.now() - began;
    if (made.again !== true) {
      count(lane.tally, verdict, made, took);
      if (made.fromValid && isTaken(verdict) && randomBelow(this.#random, 64) === 0)
        this.#keep(lane, lane.sinceReset.at(-1)!);
    }
    if (took <= this.#longestMs || this.#cpuMs() - this.#cpuAtBlock <= this.#longestMs) return undefined;
    return foundIn(lane, new Error(`it took ${Math.round(took)} ms`));
  }

  /** A machine may find at its end that it was led beyond its bounds. */
  async #reset(lane: Lane): Promise<Found | undefined> {
    this.#recorder?.begin(lane.position);
    try {
      await lane.target.reset?.();
    } catch (error) {
      return foundIn(lane, error);
    }
    this.#forget(lane);
    return undefined;
  }

  #forget(lane: Lane): void {
    lane.sinceReset.length = 0;
    this.#recorder?.forget(lane.position);
  }

  #keep(lane: Lane, input: Uint8Array): void {
    if (input.length > 4_096) return;
    lane.corpus[lane.target.samples.length + (lane.kept++ % KEPT)] = input;
  }
}

/** How an input came about. */
interface Made {
  readonly fromValid: boolean;
  /** It was fed before, and is counted once. */
  readonly again?: boolean;
}

function count(tally: Tally, verdict: Verdict, { fromValid }: Made, took: number): void {
  tally.inputs++;
  if (fromValid) tally.mutated++;
  if (passesOutside(verdict)) tally.passedOutside++;
  tally.totalMs += took;
  if (took > tally.slowestMs) tally.slowestMs = took;
  const reason = tally.reasons.size < MOST_REASONS || tally.reasons.has(verdict) ? verdict : 'other';
  tally.reasons.set(reason, (tally.reasons.get(reason) ?? 0) + 1);
}

function newTally(): Tally {
  return {
    inputs: 0,
    mutated: 0,
    passedOutside: 0,
    slowestMs: 0,
    totalMs: 0,
    reasons: new Map<Verdict, number>(),
  };
}

/** What several fuzzers did, as one. */
export function mergeTallies(all: readonly Tallies[]): Tallies {
  const merged = new Map<string, Tally>();
  for (const [name, tally] of all.flatMap((tallies) => [...tallies])) {
    const sum = merged.get(name) ?? newTally();
    merged.set(name, sum);
    sum.inputs += tally.inputs;
    sum.mutated += tally.mutated;
    sum.passedOutside += tally.passedOutside;
    sum.totalMs += tally.totalMs;
    sum.slowestMs = Math.max(sum.slowestMs, tally.slowestMs);
    for (const [reason, count] of tally.reasons)
      sum.reasons.set(reason, (sum.reasons.get(reason) ?? 0) + count);
  }
  return merged;
}

function foundIn(lane: Lane, error: unknown): Found {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { target: lane.target.name, error: text, inputs: [...lane.sinceReset] };
}

/** Only the inputs that it takes: the last one alone, if that is enough. */
export async function shortened(found: Found, target: Target): Promise<Found> {
  const last = found.inputs.slice(-1);
  const error = await replay(last, target);
  if (error !== undefined) return { ...found, inputs: last, error };
  return { ...found, error: (await replay(found.inputs, target)) ?? `${found.error}, but not again` };
}

/** Feeds a new target; the error, if it breaks a promise again. */
export async function replay(inputs: readonly Uint8Array[], target: Target): Promise<string | undefined> {
  try {
    await target.reset?.();
  } catch {
    // Of what it was led to before.
  }
  try {
    for (const input of inputs) await target.run(input.slice());
    await target.reset?.();
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}
