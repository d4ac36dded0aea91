/** Exit codes that scripts rely on. */
export const EXIT_OK = 0;
/** Anything that is neither usage nor an absent daemon: refusals, bad values, failures. */
export const EXIT_FAILED = 1;
/** Unknown command or flag, missing or surplus argument, contradicting flags. */
export const EXIT_USAGE = 2;
export const EXIT_NO_DAEMON = 3;

/** The command line contradicts itself; exit 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** A value is bad, or the machine lacks something; exit 1. The message names the value and the remedy. */
export class BadValue extends Error {
  override name = 'BadValue';
}
