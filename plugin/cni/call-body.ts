/**
 * The body of `POST /cni`: the environment, then what the runtime wrote to standard input.
 *
 * ```
 * KEY=VALUE 0x00 KEY=VALUE 0x00 ... 0x00 standard input
 * ```
 *
 * An empty string ends the environment. Values cannot contain NUL, so nothing needs escaping in the shim.
 */
export interface CallBody {
  readonly environment: ReadonlyMap<string, string>;
  readonly input: string;
}

/** Undefined if the environment has no end. Entries without "=" are passed over. */
export function decodeCallBody(bytes: Buffer): CallBody | undefined {
  const environment = new Map<string, string>();
  for (let at = 0; ;) {
    const end = bytes.indexOf(0, at);
    if (end < 0) return undefined;
    if (end === at) return { environment, input: bytes.toString('utf8', end + 1) };
    const entry = bytes.toString('utf8', at, end);
    const equals = entry.indexOf('=');
    if (equals > 0) environment.set(entry.slice(0, equals), entry.slice(equals + 1));
    at = end + 1;
  }
}

export function encodeCallBody({ environment, input }: CallBody): Buffer {
  const entries = [...environment].map(([key, value]) => `${key}=${value}\0`);
  return Buffer.from(`${entries.join('')}\0${input}`);
}
