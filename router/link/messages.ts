/** What the two ends of a link say to each other inside the session, apart from frames. */
export type LinkMessage =
  | PathRequest
  | PathAck
  /** Step 0 asks the initiator to begin, 1 and 2 are the handshake. */
  | { readonly kind: 'rekey'; readonly phase: number; readonly step: number; readonly bytes: Uint8Array }
  | MacsPart
  | { readonly kind: 'macs-ack'; readonly version: number }
  | { readonly kind: 'close'; readonly reason: number };

/** Asks the other end to echo `path` (the sender's own number of the path) and `token` (8 random bytes). */
export interface PathRequest {
  readonly kind: 'heartbeat' | 'probe';
  readonly path: number;
  readonly token: Uint8Array;
}

export interface PathAck {
  readonly kind: 'heartbeat-ack' | 'probe-ack';
  readonly path: number;
  readonly token: Uint8Array;
  /** The request came from an address that both ends trust: frames on that path may come plain. */
  readonly plainWelcome: boolean;
}

/** One part of the list of MACs behind the sender; the parts of one version are numbered from 0. */
export interface MacsPart {
  readonly kind: 'macs';
  readonly version: number;
  readonly part: number;
  readonly parts: number;
  /** 6 bytes each. */
  readonly macs: Uint8Array;
}

/** Reasons of `close`. */
export const CLOSE_ENDED = 0;
