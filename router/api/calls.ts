import type { Daemon } from './daemon.ts';
import { bodyFault, type BodyOf, type Fields } from './fields.ts';
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

/** What a call is answered with. */
export interface Answer {
  /** Of HTTP. */
  readonly status: number;
  /** JSON, or nothing. */
  readonly text: string;
}

/** One call of the API. */
export interface Call {
  /** Of its body; undefined if what comes is not looked at. */
  readonly type: string | undefined;
  /** Longer bodies are refused. */
  readonly mostBytes: number;
  /** Rejects with a sentence for the operator. `signal` aborts when the client has gone. */
  act(body: Buffer, signal: AbortSignal): Promise<Answer>;
}

export const JSON_TYPE = 'application/json';
const CNI_TYPE = 'application/x-weave-ts-cni';
const MOST_BYTES = 1 << 20;
/** A configuration of 4 MiB and its environment. */
const CNI_MOST_BYTES = (4 << 20) + (256 << 10);
/** The CNI program exits with 1 and prints the answer all the same. */
const CNI_FAILED = 422;

/** Every call by its method and path: "POST /attach". */
export function callsOf(daemon: Daemon): ReadonlyMap<string, Call> {
  return new Map(
    Object.entries({
      ...queries(daemon),
      ...meshCalls(daemon),
      ...attachmentCalls(daemon),
      ...addressCalls(daemon),
      ...cniCalls(daemon),
      ...spaceCalls(daemon),
    }),
  );
}

function queries(daemon: Daemon) {
  return {
    'GET /status': bare(() => daemon.status()),
    'GET /report': bare(() => daemon.report()),
    'GET /ps': bare(async () => ({ attachments: await daemon.ps() })),
    'GET /ipam/check': bare((signal) => daemon.check(signal)),
  };
}

function meshCalls(daemon: Daemon) {
  return {
    'POST /stop': call(stopBody, ({ clean }) => nothingElse(daemon.stop(clean ?? false))),
    'POST /connect': call(connectBody, ({ peers, replace }) =>
      nothingElse(daemon.connect(peers, replace ?? false)),
    ),
    'POST /forget': call(forgetBody, ({ peers }) => nothingElse(daemon.forget(peers))),
    'POST /rotate': bare(() => daemon.rotate()),
    'POST /rekey': call(rekeyBody, async ({ peer }) => ({ peers: await daemon.rekey(peer) })),
  };
}

function attachmentCalls(daemon: Daemon) {
  const defaults = { addresses: [], defaultRoute: false };
  return {
    'POST /attach': call(attachBody, (body, signal) => daemon.attach({ ...defaults, ...body }, signal)),
    'POST /detach': call(detachBody, async ({ target, addresses }) => ({
      addresses: await daemon.detach(target, addresses ?? []),
    })),
    'POST /expose': call(exposeBody, (body, signal) =>
      daemon.expose({ addresses: [], masquerade: true, ...body }, signal),
    ),
    'POST /hide': call(hideBody, async ({ addresses }) => ({
      addresses: await daemon.hide(addresses ?? []),
    })),
  };
}

function addressCalls(daemon: Daemon) {
  return {
    'POST /prime': bare((signal) => nothingElse(daemon.prime(signal))),
    'POST /allocate': call(allocateBody, async ({ id, subnet }, signal) => ({
      addresses: await daemon.allocate(id, subnet, signal),
    })),
    'POST /claim': call(claimBody, async ({ id, cidr }, signal) => ({
      addresses: await daemon.claim(id, cidr, signal),
    })),
    'POST /release': call(releaseBody, async ({ id, cidr }) => ({
      addresses: await daemon.release(id, cidr),
    })),
  };
}

function cniCalls(daemon: Daemon) {
  const cni: Call = {
    type: CNI_TYPE,
    mostBytes: CNI_MOST_BYTES,
    act: async (body, signal) => {
      const { failed, output } = await daemon.cni(body, signal);
      return { status: failed ? CNI_FAILED : 200, text: output };
    },
  };
  return {
    'POST /cni': cni,
    'POST /cni/install': call(cniInstallBody, (body) => nothingElse(daemon.cniInstall(body))),
  };
}

function spaceCalls(daemon: Daemon) {
  return {
    'POST /rmpeer': call(removePeersBody, async ({ peers, now = false, strict = false }, signal) => ({
      removed: await daemon.removePeers({ peers, now, strict }, signal),
    })),
    'POST /reset': call(resetBody, ({ force }, signal) => daemon.reset(force ?? false, signal)),
  };
}

/** A call whose body has these fields. */
function call<F extends Fields>(
  fields: F,
  act: (body: BodyOf<F>, signal: AbortSignal) => Promise<unknown>,
): Call {
  return {
    type: JSON_TYPE,
    mostBytes: MOST_BYTES,
    act: async (bytes, signal) => {
      const body = parsed(bytes);
      const fault = bodyFault(fields, body);
      if (fault !== undefined) throw new Error(fault);
      return answerOf(await act(body as BodyOf<F>, signal));
    },
  };
}

/** A call without a body. */
function bare(act: (signal: AbortSignal) => Promise<unknown>): Call {
  return {
    type: undefined,
    mostBytes: MOST_BYTES,
    act: async (_body, signal) => answerOf(await act(signal)),
  };
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new Error('the body is not JSON');
  }
}

function answerOf(value: unknown): Answer {
  return { status: 200, text: JSON.stringify(value) };
}

async function nothingElse(done: Promise<void>): Promise<object> {
  await done;
  return {};
}
