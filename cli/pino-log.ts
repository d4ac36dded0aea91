import { pino } from 'pino';
import type { Log, LogLevel } from '../core/log.ts';

/** JSON lines with ISO time. `destination` gets whole lines. */
export function createLog(level: LogLevel, destination: { write(line: string): void }): Log {
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return {
    log: (lineLevel, message, fields) => logger[lineLevel](fields ?? {}, message),
  };
}
