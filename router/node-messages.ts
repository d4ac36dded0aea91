import type { Endpoint, Cidr } from '../core/address.ts';
import type { LogLevel } from '../core/log.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RoutesSnapshot } from '../core/routes.ts';
import type { Cookies } from './engine/port.ts';

/** What the ControlNode (main thread) tells the DataNode (worker). Plain data: it crosses threads by structured clone. */
export type ToData =
  | { readonly type: 'routes'; readonly routes: RoutesSnapshot }
  /** The peers to which the mesh asks for a link; those to others end when nothing uses them. Before the first: all. */
  | { readonly type: 'links-kept'; readonly peers: readonly PeerName[] }
  /**
   * A handshake is complete. It becomes the peer's pending session; the session before it serves on until a valid
   * datagram arrives on this one. The ControlNode forgets the keys after sending this.
   */
  | { readonly type: 'session'; readonly peer: PeerName; readonly session: SessionMaterial }
  /** Forget every session with the peer at once; `notify` sends `close` first. */
  | { readonly type: 'session-closed'; readonly peer: PeerName; readonly notify: boolean }
  /**
   * A rekey handshake message to send under the current key of the session with this id; dropped if another one is in
   * use by now. Resending step 1 is the DataNode's business.
   */
  | {
      readonly type: 'rekey-message';
      readonly peer: PeerName;
      readonly session: number;
      readonly phase: number;
      readonly step: number;
      readonly bytes: Uint8Array;
    }
  /** New keys of the session with this id, for all of its lanes; dropped if another one is in use by now. */
  | {
      readonly type: 'rekey-keys';
      readonly peer: PeerName;
      readonly session: number;
      readonly phase: number;
      readonly initiator: boolean;
      readonly keys: DirectionKeys;
    }
  /** The session in use with the peer should have new keys now. */
  | { readonly type: 'rekey'; readonly peer: PeerName }
  /** A circuit to the peer is open, for the session with this id: send as `sendIndex` to the first of `route` (the relays, from here); `alias` is the index we receive it on. */
  | {
      readonly type: 'circuit';
      readonly peer: PeerName;
      readonly session: number;
      readonly circuit: number;
      readonly route: readonly PeerName[];
      readonly alias: number;
      readonly sendIndex: number;
    }
  | { readonly type: 'circuit-failed'; readonly peer: PeerName; readonly reason: string }
  | { readonly type: 'circuit-closed'; readonly peer: PeerName; readonly circuit: number }
  | {
      readonly type: 'label';
      readonly index: number;
      readonly previous: PeerName;
      readonly next: PeerName;
      readonly nextIndex: number;
    }
  | { readonly type: 'label-removed'; readonly index: number }
  /** All MACs (6 bytes each, concatenated) of local ports; overrides whatever was learned elsewhere. */
  | { readonly type: 'local-macs'; readonly macs: Uint8Array }
  /** The addresses of this host changed: where peers believe it to be may be wrong. */
  | { readonly type: 'moved' }
  | { readonly type: 'report-request'; readonly request: number };

/** Keys are handed over once: whoever has passed the message on, or done what it says, forgets them. */
export function wipeKeys(message: ToData): void {
  const keys =
    message.type === 'rekey-keys'
      ? message.keys
      : message.type === 'session'
        ? message.session.keys
        : undefined;
  keys?.send.fill(0);
  keys?.receive.fill(0);
}

/** What the DataNode tells the ControlNode. */
export type ToControl =
  /** Frames wait, the path is lost, or the session ended: please offer (afresh). Repeated while it lasts. */
  | { readonly type: 'need-session'; readonly peer: PeerName }
  /** The session with this id got its first valid datagram and is in use. */
  | { readonly type: 'session-live'; readonly peer: PeerName; readonly id: number }
  /** These indexes are out of use (an old session or circuit ended). */
  | { readonly type: 'indexes-released'; readonly indexes: readonly number[] }
  /** The session with this id has no path: open a circuit for it that avoids these edges. */
  | {
      readonly type: 'need-circuit';
      readonly peer: PeerName;
      readonly session: number;
      readonly avoid: readonly (readonly [PeerName, PeerName])[];
    }
  /** This end no longer uses the circuit. */
  | { readonly type: 'circuit-ended'; readonly peer: PeerName; readonly circuit: number }
  /** The session with this id is in use and wants keys of this phase. */
  | {
      readonly type: 'rekey-due';
      readonly peer: PeerName;
      readonly session: number;
      readonly phase: number;
    }
  | {
      readonly type: 'rekey-received';
      readonly peer: PeerName;
      readonly session: number;
      readonly phase: number;
      readonly step: number;
      readonly bytes: Uint8Array;
    }
  /** `direct` = up on a direct path, as the topology publishes it (falls at once, rises after 10 s: the DataNode sees to it). */
  | {
      readonly type: 'link-changed';
      readonly peer: PeerName;
      readonly state: LinkState;
      readonly direct: boolean;
    }
  /** The peer gave the link up because nothing used it. Its `link-changed` follows. */
  | { readonly type: 'link-unused'; readonly peer: PeerName }
  | { readonly type: 'label-idle'; readonly index: number }
  | { readonly type: 'report'; readonly request: number; readonly report: DataReport }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: Readonly<Record<string, string | number>>;
    }
  | { readonly type: 'failed'; readonly error: string };

export interface SessionMaterial {
  /** Identifies the handshake on this node: its offer's number. */
  readonly id: number;
  readonly initiator: boolean;
  /** 1 to 16; the same at both ends. */
  readonly lanes: number;
  /** Undefined = no password: everything goes plain. */
  readonly keys: DirectionKeys | undefined;
  /** Undefined = plain is never used with this peer. */
  readonly cookies: Cookies | undefined;
  /** The index that we receive on directly, and the one that the peer does: of lane 0. */
  readonly localIndex: number;
  readonly remoteIndex: number;
  /** Where the peer may be reached, best first; at most 16. */
  readonly candidates: readonly Endpoint[];
  readonly remoteBridgeMtu: number;
  /** The peer's own trusted subnets; plain datagrams need both ends' addresses in both lists. Empty without trust. */
  readonly remoteTrusted: readonly Cidr[];
}

/** 32 bytes for each lane of the session, lane 0 first. */
export interface DirectionKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

export type LinkState = 'idle' | 'offering' | 'probing' | 'up' | 'down';

export interface LinkReport {
  readonly peer: PeerName;
  readonly state: LinkState;
  readonly path: 'direct' | 'relay';
  /** First relay, for path 'relay'. */
  readonly via: PeerName | undefined;
  readonly address: Endpoint | undefined;
  readonly encrypted: boolean;
  readonly mtu: number;
  readonly rttMs: number | undefined;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly lostFraction: number;
  /** How often new keys have come into use. */
  readonly rekeys: number;
}

export interface DataReport {
  readonly links: readonly LinkReport[];
  readonly drops: Readonly<Record<string, number>>;
  readonly macs: number;
  readonly labels: number;
  /** In order: the first is the one that also keeps the links. */
  readonly workers: readonly WorkerReport[];
}

/** What one worker moved. */
export interface WorkerReport {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Frames that it left to the first worker. */
  readonly detouredFrames: number;
}
