import type { KernelStep } from './kernel.ts';
import { ACKNOWLEDGED, message, parseAttributes, parseMessages, u32 } from './netlink-message.ts';

/**
 * The number that nf_tables gives each state of the rules of a namespace (linux/netfilter/nf_tables.h): while it is the
 * same, nobody has changed any, and they need not be read. Each transaction adds one; 0 is passed over.
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

/** Undefined if `replies` tell of none. */
export function readGeneration(replies: Uint8Array): number | undefined {
  const told = parseMessages(replies).find(({ type }) => type === TOLD);
  const number = told && parseAttributes(told.body, HEAD.length).get(NUMBER);
  if (number?.length !== 4) return undefined;
  return new DataView(number.buffer, number.byteOffset, 4).getUint32(0);
}

/** Whether one transaction, and no more, lies between the two. */
export function isNextGeneration(before: number | undefined, after: number | undefined): boolean {
  return before !== undefined && after === before + 1;
}
