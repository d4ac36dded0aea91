import type { FromLane, ToLane } from '../lane-messages.ts';
import type { DataThreadSettings } from './data-thread-settings.ts';

/** What a further worker of the data plane is started with. */
export interface LaneThreadSettings extends DataThreadSettings {
  /** From 1. */
  readonly worker: number;
}

export type ToLaneThread =
  { readonly type: 'node'; readonly messages: readonly ToLane[] } | { readonly type: 'close' };

export type FromLaneThread =
  | { readonly type: 'opened' }
  | { readonly type: 'refused'; readonly error: string }
  | { readonly type: 'node'; readonly messages: readonly FromLane[] }
  | { readonly type: 'closed' };
