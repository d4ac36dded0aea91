import { SECOND, type Millis } from '../../core/time.ts';
import type { ToControl } from '../node-messages.ts';
import type { MacEvent } from '../switch/mac-table.ts';
import { formatMac } from '../wire/mac.ts';

const WINDOW: Millis = 10 * SECOND;
const LINES_PER_WINDOW = 20;

type LogLine = Extract<ToControl, { type: 'log' }>;

/** Turns moves and loops of MACs into log lines, so many that a MAC that flaps is seen but does not fill the disk. */
export class MacEventLog {
  #windowEnd: Millis = -Infinity;
  #lines = 0;

  linesFor(events: readonly MacEvent[], now: Millis): LogLine[] {
    if (events.length === 0) return [];
    if (now >= this.#windowEnd) {
      this.#windowEnd = now + WINDOW;
      this.#lines = 0;
    }
    const shown = events.slice(0, LINES_PER_WINDOW - this.#lines);
    this.#lines += shown.length;
    return shown.map(lineFor);
  }
}

function lineFor(event: MacEvent): LogLine {
  const mac = formatMac(event.mac);
  if (event.type === 'mac-moved') {
    const fields = { mac, from: event.from, to: event.to };
    return { type: 'log', level: 'info', message: 'a MAC address moved', fields };
  }
  const fields = { mac, peer: event.peer };
  return {
    type: 'log',
    level: 'warn',
    message: 'a frame came back over the host: bridges form a loop',
    fields,
  };
}
