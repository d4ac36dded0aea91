import type { PeerName } from '../core/peer-name.ts';
import { compareNames, parsePeerName } from '../core/peer-name.ts';

/** How the first ring comes about. */
export type InitMode =
  /** Peers agree; `voters` of them are expected, the given ones and this one unless told otherwise. */
  | { readonly type: 'consensus'; readonly voters: number }
  /** Shared among these names, ascending; no agreement is needed. */
  | { readonly type: 'seed'; readonly names: readonly PeerName[] }
  /** Takes the ring that others make, may ask them to make one, and has no vote. */
  | { readonly type: 'observer' };

const MAX_VOTERS = 10_000;
const MAX_SEEDS = 4_096;

/**
 * Reads `consensus`, `consensus=N`, `seed=NAME,NAME...` or `observer`; the empty text is `consensus`.
 * `givenPeers` = how many peers were given to connect to. A failure is a sentence for the operator.
 */
export function parseInitMode(text: string, givenPeers: number): InitMode | { readonly error: string } {
  const [mode, ...rest] = text.split('=');
  const argument = rest.length === 0 ? undefined : rest.join('=');
  if (mode === '' || mode === 'consensus') return parseConsensus(argument, givenPeers);
  if (mode === 'seed') return parseSeed(argument);
  if (mode === 'observer' && argument === undefined) return { type: 'observer' };
  return {
    error: `unknown address allocation mode "${text}": use consensus, consensus=N, seed=NAME,NAME or observer`,
  };
}

function parseConsensus(argument: string | undefined, givenPeers: number): InitMode | { error: string } {
  if (argument === undefined) return { type: 'consensus', voters: Math.min(givenPeers + 1, MAX_VOTERS) };
  const voters = Number(argument);
  if (!/^\d+$/.test(argument) || voters < 1 || voters > MAX_VOTERS) {
    return {
      error: `consensus=${argument}: the number of initial peers must be between 1 and ${MAX_VOTERS}`,
    };
  }
  return { type: 'consensus', voters };
}

function parseSeed(argument: string | undefined): InitMode | { error: string } {
  const texts = argument === undefined || argument === '' ? [] : argument.split(',');
  if (texts.length === 0) return { error: 'seed= needs the names of the initial peers: seed=NAME,NAME' };
  if (texts.length > MAX_SEEDS) return { error: `seed= takes at most ${MAX_SEEDS} names` };
  const names = new Set<PeerName>();
  for (const text of texts) {
    const name = parsePeerName(text);
    if (name === undefined)
      return { error: `seed=${argument}: "${text}" is not a peer name such as 7a:01:02:03:04:05 or ::1` };
    if (names.has(name)) return { error: `seed=${argument}: the peer name ${name} is given twice` };
    names.add(name);
  }
  return { type: 'seed', names: [...names].sort(compareNames) };
}
