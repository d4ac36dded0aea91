import type { EngineKind } from '../engine/choose.ts';
import type { ToControl, ToData } from '../node-messages.ts';
import type { DataThreadSettings } from './data-thread-settings.ts';
import { EngineThread, type EngineThreadEvents } from './engine-thread.ts';

/** The main thread's handle of the data-plane thread, which says what kind of engine it has opened. */
export type DataPlane = EngineThread<ToData, EngineKind, ToControl>;

/** See {@link EngineThread.start}. */
export function startDataPlane(
  settings: DataThreadSettings,
  events: EngineThreadEvents<ToControl>,
): Promise<DataPlane> {
  return EngineThread.start('data', settings, events);
}
