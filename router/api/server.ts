import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Log } from '../../core/log.ts';
import { answers } from './client.ts';
import type { AttachRequest, CniInstallRequest, Daemon, ExposeRequest } from './daemon.ts';
import {
  allocateBody,
  attachBody,
  claimBody,
  cniInstallBody,
  connectBody,
  detachBody,
  exposeBody,
  forgetBody,
  hideBody,
  rekeyBody,
  releaseBody,
  removePeersBody,
  resetBody,
  stopBody,
} from './schema.ts';

const BODY_LIMIT_BYTES = 1 << 20;
/** sun_path less its end mark (unix(7)). */
const LONGEST_SOCKET_PATH = 107;

/** The API over `daemon`, not yet listening. Refusals are answered 400 with `{ error }`, one line. */
export function createApi(daemon: Daemon, log: Log): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });
  app.setErrorHandler<Error & { statusCode?: number; validation?: unknown }>(
    async (error, request, reply) => {
      const isBug =
        error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
      const status = error.statusCode ?? (isBug ? 500 : 400);
      if (status >= 500) log.log('error', 'request failed', { url: request.url, error: error.stack });
      await reply.code(status).send({ error: oneLine(error.message) });
    },
  );
  app.setNotFoundHandler(async (request, reply) => {
    await reply.code(404).send({ error: `no such call: ${request.method} ${request.url}` });
  });
  addQueries(app, daemon);
  addMeshCalls(app, daemon);
  addKeyCalls(app, daemon);
  addAttachmentCalls(app, daemon);
  addAddressCalls(app, daemon);
  addCniCalls(app, daemon);
  addSpaceCalls(app, daemon);
  return app;
}

/**
 * Listens on a unix socket that only this user may open. A socket left by a dead daemon is replaced; a live one is
 * refused with an error that names it.
 */
export async function listenOnSocket(app: FastifyInstance, path: string): Promise<void> {
  await checkSocketPath(path);
  rmSync(path, { force: true });
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  await app.listen({ path });
  chmodSync(path, 0o600);
}

/** Rejects if a daemon serves the socket, or if something else than a socket is there. Changes nothing. */
export async function checkSocketPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    throw new Error(`the socket path ${path} is too long: at most ${LONGEST_SOCKET_PATH} bytes`);
  }
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

function addQueries(app: FastifyInstance, daemon: Daemon): void {
  app.get('/status', () => daemon.status());
  app.get('/report', () => daemon.report());
  app.get('/ps', async () => ({ attachments: await daemon.ps() }));
}

function addMeshCalls(app: FastifyInstance, daemon: Daemon): void {
  app.post<{ Body: { clean?: boolean } }>('/stop', { schema: { body: stopBody } }, async ({ body }) => {
    await daemon.stop(body.clean ?? false);
    return {};
  });
  app.post<{ Body: { peers: string[]; replace?: boolean } }>(
    '/connect',
    { schema: { body: connectBody } },
    async ({ body }) => {
      await daemon.connect(body.peers, body.replace ?? false);
      return {};
    },
  );
  app.post<{ Body: { peers: string[] } }>('/forget', { schema: { body: forgetBody } }, async ({ body }) => {
    await daemon.forget(body.peers);
    return {};
  });
}

function addKeyCalls(app: FastifyInstance, daemon: Daemon): void {
  app.post('/rotate', () => daemon.rotate());
  app.post<{ Body: { peer?: string } }>('/rekey', { schema: { body: rekeyBody } }, async ({ body }) => ({
    peers: await daemon.rekey(body.peer),
  }));
}

function addAttachmentCalls(app: FastifyInstance, daemon: Daemon): void {
  app.post<{ Body: Partial<AttachRequest> & { target: string } }>(
    '/attach',
    { schema: { body: attachBody } },
    (request) => daemon.attach({ ...attachDefaults, ...request.body }, gone(request)),
  );
  app.post<{ Body: { target: string; addresses?: string[] } }>(
    '/detach',
    { schema: { body: detachBody } },
    async ({ body }) => ({ addresses: await daemon.detach(body.target, body.addresses ?? []) }),
  );
  app.post<{ Body: Partial<ExposeRequest> }>('/expose', { schema: { body: exposeBody } }, (request) =>
    daemon.expose({ addresses: [], masquerade: true, ...request.body }, gone(request)),
  );
  app.post<{ Body: { addresses?: string[] } }>('/hide', { schema: { body: hideBody } }, async ({ body }) => ({
    addresses: await daemon.hide(body.addresses ?? []),
  }));
}

const attachDefaults = { addresses: [], defaultRoute: false };

function addAddressCalls(app: FastifyInstance, daemon: Daemon): void {
  app.post('/prime', async (request) => {
    await daemon.prime(gone(request));
    return {};
  });
  app.post<{ Body: { id: string; subnet?: string } }>(
    '/allocate',
    { schema: { body: allocateBody } },
    async (request) => ({
      addresses: await daemon.allocate(request.body.id, request.body.subnet, gone(request)),
    }),
  );
  app.post<{ Body: { id: string; cidr: string } }>(
    '/claim',
    { schema: { body: claimBody } },
    async (request) => ({
      addresses: await daemon.claim(request.body.id, request.body.cidr, gone(request)),
    }),
  );
  app.post<{ Body: { id: string; cidr?: string } }>(
    '/release',
    { schema: { body: releaseBody } },
    async ({ body }) => ({
      addresses: await daemon.release(body.id, body.cidr),
    }),
  );
}

/** A configuration of 4 MiB and its environment. */
const CNI_BODY_LIMIT_BYTES = (4 << 20) + (256 << 10);
const CNI_BODY_TYPE = 'application/x-weave-ts-cni';
/** The program exits with 1 and prints the answer all the same. */
const CNI_FAILED = 422;

function addCniCalls(app: FastifyInstance, daemon: Daemon): void {
  app.addContentTypeParser(CNI_BODY_TYPE, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.post<{ Body: Buffer }>('/cni', { bodyLimit: CNI_BODY_LIMIT_BYTES }, async (request, reply) => {
    if (!Buffer.isBuffer(request.body)) throw new Error(`/cni takes a body of type ${CNI_BODY_TYPE}`);
    const { failed, output } = await daemon.cni(request.body, gone(request));
    await reply
      .code(failed ? CNI_FAILED : 200)
      .type('application/json')
      .send(output);
  });
  app.post<{ Body: CniInstallRequest }>(
    '/cni/install',
    { schema: { body: cniInstallBody } },
    async ({ body }) => {
      await daemon.cniInstall(body);
      return {};
    },
  );
}

function addSpaceCalls(app: FastifyInstance, daemon: Daemon): void {
  app.post<{ Body: { peers: string[]; now?: boolean; strict?: boolean } }>(
    '/rmpeer',
    { schema: { body: removePeersBody } },
    async (request) => {
      const { peers, now = false, strict = false } = request.body;
      return { removed: await daemon.removePeers({ peers, now, strict }, gone(request)) };
    },
  );
  app.post<{ Body: { force?: boolean } }>('/reset', { schema: { body: resetBody } }, (request) =>
    daemon.reset(request.body.force ?? false, gone(request)),
  );
  app.get('/ipam/check', (request) => daemon.check(gone(request)));
}

/** Aborts when the client closes its end before it has the answer. */
function gone(request: FastifyRequest): AbortSignal {
  const controller = new AbortController();
  request.raw.socket.once('close', () => controller.abort());
  return controller.signal;
}

function oneLine(message: string): string {
  return message.split('\n')[0] ?? message;
}
