import type { KernelStep } from './kernel.ts';
import { ACKNOWLEDGED, message, parseAttributes, parseMessages, readU32, u32 } from './netlink-message.ts';

/**
 * The number that nf_tables gives each state of the rules of a namespace (linux/netfilter/nf_tables.h): while it is the
 * same, nobody has changed any, and they need not be read.
 */
const ASK = (10 << 8) | 16;
const TOLD = (10 << 8) | 15;
/** family u8 | version u8 | u16: unspecified, for all families. */
const HEAD = u32(0);
const NUMBER = 1;

/** Comes in answer: {@link readGeneration}. */
export function askGeneration(): KernelStep {
  return {
    what: 'learn whether firewall rules have changed',
    kind: 'netfilter',
    request: message(ASK, ACKNOWLEDGED, HEAD),
  };
}

/** Undefined if `replies` tell of none. To be compared and nothing else: the order of its bytes is the kernel's. */
export function readGeneration(replies: Uint8Array): number | undefined {
  const told = parseMessages(replies).find(({ type }) => type === TOLD);
  return told === undefined ? undefined : readU32(parseAttributes(told.body, HEAD.length).get(NUMBER));
}
