import { request } from 'node:http';
import { connect } from 'node:net';

/** The daemon does not answer on its socket. */
export class NoDaemon extends Error {
  override name = 'NoDaemon';
  /** The kernel says that nobody has the socket open; otherwise a daemon may run all the same. */
  readonly absent: boolean;

  constructor(message: string, absent = false) {
    super(message);
    this.absent = absent;
  }
}

/** The daemon refused, and its sentence is the message; or the system did. */
export class Refused extends Error {
  override name = 'Refused';
}

const QUERY_LIMIT_MS = 15_000;
/** For what waits for nobody but this host's kernel. */
const CHANGE_LIMIT_MS = 60_000;
const WAITS_FOR_NOBODY = new Set(['/stop', '/connect', '/forget', '/rotate', '/rekey', '/cni/install']);
const ANSWER_LIMIT_BYTES = 64 << 20;
/** sun_path less its end mark (unix(7)). */
const LONGEST_SOCKET_PATH = 107;

/** What is wrong with a path that no socket can have; undefined if nothing is. */
export function socketPathProblem(path: string): string | undefined {
  if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH) return undefined;
  return `the socket path ${path} is too long: choose a --socket of at most ${LONGEST_SOCKET_PATH} bytes`;
}

/**
 * One call of the API on the unix socket `socketPath`. Queries (GET) have 15 s, changes that depend on no other host a
 * minute; the others wait as long as the daemon does: requests that block (an allocation that awaits consensus) end when
 * the caller does.
 */
export function callApi(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers = payload === undefined ? {} : { 'content-type': 'application/json' };
    const call = request({ socketPath, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > ANSWER_LIMIT_BYTES) response.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.on('error', (error) =>
        reject(new Refused(`the daemon broke off its answer: ${error.message}`)),
      );
      response.on('end', () =>
        settle(response.statusCode ?? 0, Buffer.concat(chunks).toString(), resolve, reject),
      );
    });
    call.on('error', (error: NodeJS.ErrnoException) => reject(callFailed(socketPath, error)));
    const limit = limitOf(method, path);
    if (limit !== undefined) {
      call.setTimeout(limit, () => call.destroy(new Error(`no answer in ${limit / 1_000} s`)));
    }
    call.end(payload);
  });
}

function limitOf(method: 'GET' | 'POST', path: string): number | undefined {
  if (method === 'GET') return QUERY_LIMIT_MS;
  return WAITS_FOR_NOBODY.has(path) ? CHANGE_LIMIT_MS : undefined;
}

/** Whether a daemon listens on the unix socket `path`. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // With any other error somebody is there, who may be too busy to be reached (EAGAIN).
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(!isAbsence(code)));
  });
}

function isAbsence(code: string | undefined): boolean {
  return code === 'ENOENT' || code === 'ECONNREFUSED';
}

function settle(
  status: number,
  text: string,
  resolve: (value: unknown) => void,
  reject: (error: Error) => void,
): void {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    reject(new Refused(`the daemon answered with something else than JSON (status ${status})`));
    return;
  }
  if (status === 200) resolve(answer);
  else reject(new Refused(errorText(answer) ?? `the daemon answered with status ${status}`));
}

function errorText(answer: unknown): string | undefined {
  if (typeof answer !== 'object' || answer === null || !('error' in answer)) return undefined;
  return typeof answer.error === 'string' ? answer.error : undefined;
}

function callFailed(socketPath: string, error: NodeJS.ErrnoException): Error {
  if (isAbsence(error.code)) {
    return new NoDaemon(
      `no daemon answers on ${socketPath}: start one with "weave-ts launch", or name its --socket`,
      true,
    );
  }
  if (error.code === 'EACCES' || error.code === 'EPERM')
    return new Refused(`may not open ${socketPath}: run as root`);
  return new NoDaemon(`the daemon on ${socketPath} broke off: ${error.message}`);
}
