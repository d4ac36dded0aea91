import { MINUTE, SECOND, type Millis } from '../../core/time.ts';

/** A MAC that sent nothing for so long is unknown again. */
export const MAC_TTL: Millis = 10 * MINUTE;
export const MAC_LIMIT = 65_536;
/** A MAC captured here so soon after it was heard from a peer has come round a loop. */
export const LOOP_INTERVAL: Millis = 1 * SECOND;

/** MACs that one worker tells the others, per second and at once. */
export const SHARING_RATE = 1_000;
export const SHARING_BURST = 4_096;

/** Floods per second that one originator may cause, and at once. */
export const FLOOD_RATE = 10_000;
export const FLOOD_BURST = 2_000;
/** Of the burst, for broadcast and multicast: frames to MACs that nobody knows, which a pod may make up, leave so much. */
export const FLOOD_RESERVE = 1_000;

/** Answers to frames that do not fit, per second and at once. */
export const ICMP_RATE = 100;
export const ICMP_BURST = 100;
/** Of these, to one sender: as much as it asks for, the others are answered too. */
export const ICMP_SHARE = 0.5;

/** Incomplete messages kept per peer: how many, how many bytes, how long. */
export const REASSEMBLY_MESSAGES = 16;
export const REASSEMBLY_BYTES = 256 * 1024;
export const REASSEMBLY_TIME: Millis = 2 * SECOND;

/** Reports of moves and loops kept until they are drained. */
export const EVENT_LIMIT = 32;
