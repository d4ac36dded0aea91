import { utf8 } from '../core/bytes.ts';
import { parsePeerName } from '../core/peer-name.ts';
import type { StoreChange } from '../core/store.ts';
import { CANDIDATE_FOR, type Candidate } from '../gossip/candidate.ts';

const TARGETS_KEY = 'targets';
const MAX_STORED = 1_024;

/** Where a node has connected, or was told to. */
export interface StoredTargets {
  /** As the operator gave them; for `--resume`. */
  readonly targets: readonly string[];
  /** Peers of an earlier run, to be tried for a while. */
  readonly candidates: readonly Candidate[];
}

export function targetsChange({ targets, candidates }: StoredTargets): StoreChange {
  return { key: TARGETS_KEY, value: utf8(JSON.stringify({ targets, candidates })) };
}

/** What is stored; nothing where it is missing or damaged, as all of it can be given again. */
export function loadTargets(stored: ReadonlyMap<string, Uint8Array>): StoredTargets {
  const bytes = stored.get(TARGETS_KEY);
  const parsed = bytes === undefined ? undefined : parseJson(bytes);
  if (!isRecord(parsed)) return { targets: [], candidates: [] };
  return {
    targets: listOf(parsed['targets'], asText),
    candidates: listOf(parsed['candidates'], asCandidate),
  };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

function listOf<T>(value: unknown, read: (item: unknown) => T | undefined): T[] {
  if (!Array.isArray(value)) return [];
  return value
    .slice(0, MAX_STORED)
    .map(read)
    .filter((item) => item !== undefined);
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function asCandidate(value: unknown): Candidate | undefined {
  const text = isRecord(value) ? asText(value['name']) : undefined;
  const name = text === undefined ? undefined : parsePeerName(text);
  if (name === undefined || !isRecord(value)) return undefined;
  const remaining = asDuration(value['remaining']) ?? CANDIDATE_FOR;
  return { name, addresses: listOf(value['addresses'], asText), remaining };
}

function asDuration(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 ? value : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
