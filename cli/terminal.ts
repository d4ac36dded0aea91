/** What the commands need of the process around them; a fake in tests. */
export interface Terminal {
  out(text: string): void;
  /** One line for the operator, on stderr. */
  note(text: string): void;
  readonly colour: boolean;
  /** The API socket in force: --socket, else WEAVE_TS_SOCKET, else the default. */
  socket(): string;
}

/** One call of the daemon's API. */
export type Call = (method: 'GET' | 'POST', path: string, body?: object) => Promise<unknown>;

export interface JsonFlag {
  readonly json?: boolean;
}

/** Indented, with a line end. */
export function json(value: unknown): string {
  return JSON.stringify(value, null, 2) + '\n';
}
