export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Where machines and edges report what an operator may want to read. Never secrets. */
export interface Log {
  log(level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** For tests, and for parts whose owner does not care. */
export const silentLog: Log = { log: () => undefined };
