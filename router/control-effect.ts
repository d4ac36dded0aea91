import type { LogLevel } from '../core/log.ts';
import type { StoreChange } from '../core/store.ts';
import type { CryptoJob } from '../gossip/secure-channel.ts';
import type { IpamResult } from '../ipam/effects.ts';
import type { ControlReport, ControlStatus } from './control-status.ts';
import type { ToData } from './node-messages.ts';

/** What a ControlNode asks its edge to do, oldest first. */
export type ControlEffect =
  /** Open a TCP connection; host names are resolved now. Answer with onConnected or onDialFailed. */
  | { readonly type: 'dial'; readonly conn: number; readonly host: string; readonly port: number }
  | { readonly type: 'write'; readonly conn: number; readonly bytes: Uint8Array }
  /** End the stream once what was written is out, within a second, or by a reset at once. */
  | { readonly type: 'close-connection'; readonly conn: number; readonly reset: boolean }
  /** Public-key work, one piece at a time; answer with onTaskDone. */
  | { readonly type: 'task'; readonly task: number; readonly job: CryptoJob }
  | { readonly type: 'to-data'; readonly message: ToData }
  /** One transaction; answer with onCommitted when it would survive a power cut. Transactions keep their order. */
  | { readonly type: 'commit'; readonly token: number; readonly changes: readonly StoreChange[] }
  | { readonly type: 'ipam-reply'; readonly request: number; readonly result: IpamResult }
  | { readonly type: 'status'; readonly request: number; readonly document: ControlStatus }
  | { readonly type: 'report'; readonly request: number; readonly document: ControlReport }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: Readonly<Record<string, string | number>>;
    }
  /** The data plane is gone for good; a sentence. */
  | { readonly type: 'failed'; readonly error: string };
