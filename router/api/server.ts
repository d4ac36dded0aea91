import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import type { Log } from '../../core/log.ts';
import { callsOf, JSON_TYPE, type Answer, type Call } from './calls.ts';
import { answers, socketPathProblem } from './client.ts';
import type { Daemon } from './daemon.ts';
import { makePrivateDirectory } from './make-directory.ts';

/** With a call that there is not. */
const MOST_UNKNOWN_BYTES = 64 << 10;

/** One request as the API sees it. */
export interface ApiRequest {
  readonly method: string;
  /** Path and query; the query is not looked at. */
  readonly url: string;
  /** Of the body. */
  readonly type: string | undefined;
  readonly body: Buffer;
}

/** The API over a daemon: HTTP/1.1 with JSON on a unix socket. Refusals are answered 4xx with `{ error }`, one line. */
export class ApiServer {
  readonly #calls: ReadonlyMap<string, Call>;
  readonly #log: Log;
  readonly #server: Server;

  constructor(daemon: Daemon, log: Log) {
    this.#calls = callsOf(daemon);
    this.#log = log;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** Every call, as method and path: "POST /attach". */
  calls(): string[] {
    return [...this.#calls.keys()];
  }

  /** `signal` aborts when the client has gone: what was asked for is undone then. Never rejects. */
  async answer({ method, url, type, body }: ApiRequest, signal: AbortSignal): Promise<Answer> {
    const call = this.#calls.get(nameOf(method, url));
    if (call === undefined) return refusal(404, `no such call: ${method} ${url}`);
    if (call.type !== undefined && call.type !== mediaTypeOf(type)) {
      return refusal(415, `${nameOf(method, url)} takes a body of type ${call.type}`);
    }
    try {
      return await call.act(body, signal);
    } catch (error) {
      return this.#refused(error, url);
    }
  }

  /** Rejects with the system's error if the socket cannot be made. */
  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ path }, () => {
        this.#server.off('error', reject).on('error', () => undefined);
        resolve();
      });
    });
  }

  /** What is answered already gets out. Whoever still waits, or has asked nothing yet, is cut off. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      setImmediate(() => this.#server.closeAllConnections());
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    const most = this.#calls.get(nameOf(method, url))?.mostBytes ?? MOST_UNKNOWN_BYTES;
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const body = await bodyOf(request, most);
    if (body === undefined) return;
    const answer =
      body === 'too-long'
        ? refusal(413, `the request is longer than ${most} bytes`)
        : await this.answer({ method, url, type: headers['content-type'], body }, gone.signal);
    send(response, answer, body === 'too-long');
  }

  #refused(error: unknown, url: string): Answer {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    const isBug =
      error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
    if (isBug) this.#log.log('error', 'request failed', { url, error: stack });
    return refusal(isBug ? 500 : 400, message);
  }
}

/** The API over `daemon`, not yet listening. */
export function createApi(daemon: Daemon, log: Log): ApiServer {
  return new ApiServer(daemon, log);
}

/**
 * Listens on a unix socket that only this user may open. A socket left by a dead daemon is replaced; a live one is
 * refused with an error that names it.
 */
export async function listenOnSocket(api: ApiServer, path: string): Promise<void> {
  await checkSocketPath(path);
  rmSync(path, { force: true });
  makePrivateDirectory(dirname(path), '--socket');
  await listenAlone(api, path);
  chmodSync(path, 0o600);
}

/** The socket is made before this returns, and nobody else may open it even for a moment. Only the main thread has a umask. */
function listenAlone(api: ApiServer, path: string): Promise<void> {
  if (!isMainThread) return api.listen(path);
  const before = process.umask(0o177);
  try {
    return api.listen(path);
  } finally {
    process.umask(before);
  }
}

/** Rejects if a daemon serves the socket, or if something else than a socket is there. Changes nothing. */
export async function checkSocketPath(path: string): Promise<void> {
  const problem = socketPathProblem(path);
  if (problem !== undefined) throw new Error(problem);
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found !== undefined && !found.isSocket()) {
    throw new Error(`${path} is there and is not a socket: choose another --socket`);
  }
  if (await answers(path)) {
    throw new Error(
      `a daemon already answers on ${path}: stop it first, or choose another --socket and --state-dir`,
    );
  }
}

/** The whole body; undefined if the client went away meanwhile. What is too long is read no further. */
function bodyOf(request: IncomingMessage, mostBytes: number): Promise<Buffer | 'too-long' | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > mostBytes) {
        request.pause();
        resolve('too-long');
      } else chunks.push(chunk);
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('close', () => resolve(undefined));
    request.on('error', () => resolve(undefined));
  });
}

/** `last`: more of the request is under way, so the connection is of no more use. */
function send(response: ServerResponse, { status, text }: Answer, last: boolean): void {
  response.on('error', () => undefined);
  response.writeHead(status, {
    'content-type': JSON_TYPE,
    'content-length': Buffer.byteLength(text),
    ...(last ? { connection: 'close' } : {}),
  });
  response.end(text);
}

function nameOf(method: string, url: string): string {
  return `${method} ${url.split('?', 1)[0]!}`;
}

function mediaTypeOf(header: string | undefined): string | undefined {
  return header?.split(';', 1)[0]!.trim().toLowerCase();
}

function refusal(status: number, message: string): Answer {
  return { status, text: JSON.stringify({ error: message.split('\n', 1)[0]! }) };
}
