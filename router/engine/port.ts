import type { Endpoint, IpAddress } from '../../core/address.ts';

/**
 * The packet engine: moves frames between the TAP and sealed UDP datagrams in batches.
 * It alone holds send counters and replay windows, and it knows nothing of peers, routes or MACs.
 * Batches and their buffers belong to the engine and are valid until the next call of the same method.
 *
 * A datagram is: type u8 | key phase u8 | reserved 2 | receiver index u32 LE | counter u64 LE | ciphertext | tag 16;
 * its plaintext is: inner kind u8 | inner flags u8 | payload.
 */
export interface Engine {
  /** Binds the socket and attaches the TAP. Rejects with an {@link EngineError} whose message is for the operator. */
  open(options: EngineOptions): Promise<void>;
  close(): Promise<void>;
  /** Applies the changes in order. A key that was given before (same session and phase) is a bug and throws. */
  configure(changes: readonly EngineChange[]): void;
  /** Frames that the host sent, at most one batch; count 0 = none are waiting. */
  readFrames(): FrameBatch;
  /**
   * Frames that another worker read, of a batch at most, as if they had been read here: they take the place of the batch
   * of readFrames. Engines read ahead: take that batch by readFrames first, in the same turn.
   */
  adoptFrames(frames: readonly HandedFrame[]): FrameBatch;
  /** Opened datagrams, at most one batch; count 0 = none are waiting. Datagrams on labels are relayed inside. */
  receive(): MessageBatch;
  send(plan: SendPlan): void;
  writeFrames(plan: WritePlan): void;
  /** What happened since the last call. Dropped datagrams come summed by reason. */
  drainEvents(): EngineEvent[];
}

export interface EngineOptions {
  /** Name of the persistent TAP; undefined = no TAP (`--control-only`, tests). */
  readonly tap: string | undefined;
  /** Address to bind; undefined = every IPv4 and IPv6 address by one dual-stack socket. */
  readonly address: IpAddress | undefined;
  readonly port: number;
  /** This engine is one of several, each in a thread of its own, that share the port and the TAP; undefined = alone. */
  readonly share?: WorkerShare;
  /** Called, never from inside another engine call, when readFrames or receive has something. Level-triggered. */
  readonly onReady: () => void;
}

/** Engines that share are opened one after another, the first one first, each when the one before it is open. */
export interface WorkerShare {
  /** From 0. It gets the datagrams whose receiver index, modulo the lanes there can be, belongs to it. */
  readonly worker: number;
  readonly workers: number;
  /** The first one only: flows cannot be kept to one worker each, for this reason. */
  readonly onUnsteered: (why: string) => void;
}

export class EngineError extends Error {
  override name = 'EngineError';
}

/** Sessions, paths and tags are small integers chosen by the caller; indexes are the u32s of the wire. */
export type EngineChange =
  /**
   * A session without keys seals nothing until `key` and `send-phase`. `cookies` allow plain datagrams: `send` takes
   * the place of the tag in what we send, `receive` must be there in what we take.
   */
  | { readonly type: 'session'; readonly session: number; readonly cookies: Cookies | undefined }
  | { readonly type: 'session-removed'; readonly session: number }
  /** 32-byte ChaCha20-Poly1305 keys of one phase; the engine copies them, and the caller wipes its own copy. */
  | {
      readonly type: 'key';
      readonly session: number;
      readonly phase: number;
      readonly send: Uint8Array;
      readonly receive: Uint8Array;
    }
  | { readonly type: 'send-phase'; readonly session: number; readonly phase: number }
  /** Wipes both keys of the phase. */
  | { readonly type: 'key-removed'; readonly session: number; readonly phase: number }
  /** Datagrams with this receiver index belong to the session; `tag` comes back in {@link MessageBatch.tag}. */
  | {
      readonly type: 'receive-index';
      readonly index: number;
      readonly session: number;
      readonly tag: number;
      /** Report datagrams that come from another address than `direct-address` (a direct index does, an alias never). */
      readonly roams: boolean;
    }
  | { readonly type: 'receive-index-removed'; readonly index: number }
  | { readonly type: 'direct-address'; readonly session: number; readonly endpoint: Endpoint | undefined }
  /** Where a plan entry with this path goes, and the receiver index it carries. Replaces a path of the same number. */
  | { readonly type: 'path'; readonly path: number; readonly to: Endpoint; readonly sendIndex: number }
  | { readonly type: 'path-removed'; readonly path: number }
  /** Relay: a datagram with `index` that comes from the address of path `from` goes to path `to` as `nextIndex`. */
  | {
      readonly type: 'label';
      readonly index: number;
      readonly from: number;
      readonly to: number;
      readonly nextIndex: number;
    }
  | { readonly type: 'label-removed'; readonly index: number }
  /** Nothing but what every change does: what was decided before it is repeated no more. */
  | { readonly type: 'decisions-void' };

export interface Cookies {
  /** 16 bytes each. */
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

export type EngineEvent =
  /** The datagram with the highest counter so far on a roaming index came from another address. */
  | { readonly type: 'roamed'; readonly session: number; readonly from: Endpoint }
  /** EMSGSIZE (or EINVAL of UDP_SEGMENT): datagrams of `size` bytes UDP payload do not leave on this path. */
  | { readonly type: 'too-big'; readonly path: number; readonly size: number }
  /** Datagrams that the system refused, by the last of its errors. */
  | {
      readonly type: 'send-failed';
      readonly path: number;
      readonly errno: string;
      /** Those that carry frames, and those of others that were to be relayed. */
      readonly frames: number;
      /** Messages of links. */
      readonly messages: number;
    }
  | {
      readonly type: 'label-used';
      readonly index: number;
      readonly datagrams: number;
      readonly bytes: number;
    }
  /** Frames that went as plan entries with `repeat` said: their datagrams and bytes of UDP payload, since the last one. */
  | { readonly type: 'sent'; readonly session: number; readonly datagrams: number; readonly bytes: number }
  | {
      readonly type: 'received';
      readonly session: number;
      readonly datagrams: number;
      readonly bytes: number;
    }
  | { readonly type: 'dropped'; readonly reason: EngineDrop; readonly count: number }
  /** The TAP or the socket is gone; the engine is of no more use. */
  | { readonly type: 'failed'; readonly error: string };

export type EngineDrop =
  | 'datagram-too-short'
  | 'datagram-type-unknown'
  | 'datagram-reserved-bits'
  | 'index-unknown'
  | 'key-unknown'
  | 'tag-invalid'
  | 'counter-replayed'
  | 'counter-too-old'
  | 'cookie-invalid'
  | 'label-source-wrong'
  | 'counter-exhausted'
  | 'path-unknown'
  | 'socket-queue-full'
  | 'receive-queue-full'
  | 'tap-queue-full'
  | 'frame-malformed'
  | 'frame-too-long';

/** Frame flag: the transport checksum is "partial" (pseudo-header only) and must be completed by whoever needs it. */
export const FLAG_CHECKSUM_PARTIAL = 1;

/** Frames read from the TAP. Arrays are as long as the engine's batch capacity; `count` entries are valid. */
export interface FrameBatch {
  count: number;
  data: Uint8Array;
  /** Of the Ethernet header in `data`. */
  readonly offset: Uint32Array;
  /** Of the whole frame, up to 65,557 bytes for a super-frame. */
  readonly length: Uint32Array;
  /**
   * Length of the largest frame it will be cut into; equals `length` unless it is a super-frame, which is TCP: whoever
   * plans it may lower this, and the engine cuts it so.
   */
  readonly segment: Uint32Array;
  /** Inner flags for the prefix: 0 or FLAG_CHECKSUM_PARTIAL. */
  readonly flags: Uint8Array;
}

/** A frame that one worker read and another decides on. */
export interface HandedFrame {
  readonly bytes: Uint8Array;
  /** As in {@link FrameBatch}. */
  readonly segment: number;
  readonly flags: number;
}

/** Opened datagrams. */
export interface MessageBatch {
  count: number;
  data: Uint8Array;
  /** Of the payload, after inner kind and flags. */
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  readonly kind: Uint8Array;
  readonly flags: Uint8Array;
  readonly session: Uint32Array;
  /** From `receive-index`. */
  readonly tag: Uint32Array;
  /** Key phase under which it was opened; meaningless if plain. */
  readonly phase: Uint8Array;
  /** 1 = it came plain, with the cookie in place of the tag. */
  readonly plain: Uint8Array;
  /** UDP payload bytes of the datagram. */
  readonly wireLength: Uint32Array;
  /** Underlay source of entry `i`; allocates, so for probes and reports only. */
  source(i: number): Endpoint;
}

/** Where the bytes of a plan entry lie. */
export const SOURCE_TAP = 0;
export const SOURCE_RECEIVED = 1;
export const SOURCE_SCRATCH = 2;

/** Bytes reserved per entry in {@link SendPlan.prefixes}. */
export const PREFIX_STRIDE = 32;

/**
 * What to seal and send: per entry, prefix bytes (inner kind, inner flags, kind-specific header) followed by `length`
 * bytes at `offset` of the source's data. A super-frame is planned whole (offset and length as read); the engine cuts
 * it, and every segment gets the prefix.
 */
export class SendPlan {
  count = 0;
  readonly source: Uint8Array;
  /** Position in the FrameBatch or MessageBatch; 0 for scratch. */
  readonly item: Uint32Array;
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  readonly prefixes: Uint8Array;
  readonly prefixLength: Uint8Array;
  readonly session: Uint32Array;
  readonly path: Uint32Array;
  /** 1 = send plain with the session's cookie. */
  readonly plain: Uint8Array;
  /**
   * Not 0: the engine may do the same, for 100 ms and until it is configured, with every frame of the TAP that has
   * the same MACs and a `segment` of at most so many bytes. It says so by 'sent'. Only for a sealed frame of the TAP.
   */
  readonly repeat: Uint32Array;
  readonly scratch: Uint8Array;

  readonly capacity: number;

  constructor(capacity: number, scratchBytes: number) {
    this.capacity = capacity;
    this.source = new Uint8Array(capacity);
    this.item = new Uint32Array(capacity);
    this.offset = new Uint32Array(capacity);
    this.length = new Uint32Array(capacity);
    this.prefixes = new Uint8Array(capacity * PREFIX_STRIDE);
    this.prefixLength = new Uint8Array(capacity);
    this.session = new Uint32Array(capacity);
    this.path = new Uint32Array(capacity);
    this.plain = new Uint8Array(capacity);
    this.repeat = new Uint32Array(capacity);
    this.scratch = new Uint8Array(scratchBytes);
  }
}

/** What to write to the TAP: frames inside received payloads, or made in scratch. */
export class WritePlan {
  count = 0;
  /** SOURCE_RECEIVED or SOURCE_SCRATCH. */
  readonly source: Uint8Array;
  /** Position in the MessageBatch; 0 for scratch. */
  readonly item: Uint32Array;
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  /** 0 or FLAG_CHECKSUM_PARTIAL. */
  readonly flags: Uint8Array;
  /**
   * 1 = the engine may do the same, for 100 ms and until it is configured, with every message of the same kind,
   * session, tag and phase whose frame has the same MACs. It says so by 'received'. Only for a sealed message.
   */
  readonly repeat: Uint8Array;
  readonly scratch: Uint8Array;

  readonly capacity: number;

  constructor(capacity: number, scratchBytes: number) {
    this.capacity = capacity;
    this.source = new Uint8Array(capacity);
    this.item = new Uint32Array(capacity);
    this.offset = new Uint32Array(capacity);
    this.length = new Uint32Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.repeat = new Uint8Array(capacity);
    this.scratch = new Uint8Array(scratchBytes);
  }
}
