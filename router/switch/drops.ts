import type { BroadcastVerdict } from './broadcast-window.ts';
import type { ReassemblyDrop } from './reassembly.ts';

/** Why the switch let something fall. */
export type SwitchDrop =
  | 'frame-malformed'
  /** To 01:80:C2:00:00:0X. */
  | 'frame-reserved-destination'
  | 'frame-group-source'
  /** Captured here right after it came from a peer. */
  | 'frame-looped'
  /** From the host, to a MAC of this host. */
  | 'frame-destination-local'
  /** From a peer, to a MAC that is behind another one. */
  | 'frame-destination-elsewhere'
  /** Answered by ICMP. */
  | 'frame-too-big'
  /** Would have been answered by ICMP. */
  | 'icmp-limited'
  /** Longer than fragments can carry. */
  | 'frame-too-long'
  | 'super-frame-flooded'
  | 'super-frame-unlinked'
  | 'routes-unknown'
  | 'flood-limited'
  | 'sender-unknown'
  /** Neither frame nor fragment, on a lane above 0. */
  | 'lane-message'
  /** Not a packet: what one worker learned and the others were not told. */
  | 'learned-limited'
  /** It came plain where only sealed is taken. */
  | 'plain-unwelcome'
  | 'broadcast-malformed'
  | 'broadcast-originator-unknown'
  | 'broadcast-own'
  | 'broadcast-expired'
  | Exclude<BroadcastVerdict, 'new'>
  | ReassemblyDrop
  /** A reassembled message of a kind that is never fragmented. */
  | 'fragment-kind-unknown';
