import { concatBytes } from '../../core/bytes.ts';
import type { KernelStep } from './kernel.ts';
import {
  ACKNOWLEDGED,
  attribute,
  CREATE,
  message,
  nested,
  text,
  u8,
  UNACKNOWLEDGED,
} from './netlink-message.ts';

/**
 * One transaction of nftables that changes what sets hold (linux/netfilter/nfnetlink.h and nf_tables.h): it takes as
 * long whatever else is in the sets, where `nft` reads them all first.
 */

/** Of a set without intervals. */
export interface SetElement {
  readonly set: string;
  /** Its fields one after another, each filled up with zeros to a multiple of 4 bytes. */
  readonly key: Uint8Array;
}

const BEGIN = 16;
const END = 17;
const SUBSYSTEM = 10;
const VERBS = { add: (SUBSYSTEM << 8) | 12, delete: (SUBSYSTEM << 8) | 14 } as const;
const FLAGS = { add: ACKNOWLEDGED | CREATE, delete: ACKNOWLEDGED } as const;
const FAMILY_BRIDGE = 7;
const LIST = { table: 1, set: 2, elements: 3 } as const;
const ELEMENT = 1;
const ELEMENT_KEY = 1;
const VALUE = 1;

/** All of `elements` or none; to add what is there already changes nothing, to delete what is not there fails. */
export function changeElements(
  what: string,
  verb: keyof typeof VERBS,
  table: string,
  elements: readonly SetElement[],
): KernelStep {
  const changes = elements.map(({ set, key }) => {
    const element = nested(ELEMENT, nested(ELEMENT_KEY, attribute(VALUE, key)));
    const place = [attribute(LIST.table, text(table)), attribute(LIST.set, text(set))];
    return message(VERBS[verb], FLAGS[verb], head(0), ...place, nested(LIST.elements, element));
  });
  const [begin, end] = [BEGIN, END].map((type) => message(type, UNACKNOWLEDGED, head(SUBSYSTEM)));
  return { what, kind: 'netfilter', request: concatBytes(begin!, ...changes, end!) };
}

/** family u8 | version u8 | which subsystem a transaction is for u16, most significant byte first */
function head(subsystem: number): Uint8Array {
  return concatBytes(u8(FAMILY_BRIDGE), u8(0), u8(subsystem >> 8), u8(subsystem & 255));
}
