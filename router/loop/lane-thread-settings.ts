import type { DataThreadSettings } from './data-thread-settings.ts';

/** What a further worker of the data plane is started with. */
export interface LaneThreadSettings extends DataThreadSettings {
  /** From 1. */
  readonly worker: number;
}
