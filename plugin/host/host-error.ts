/** A failure whose message is one sentence for the operator: what was wrong, with which value, what to do. */
export class HostError extends Error {
  override name = 'HostError';
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
