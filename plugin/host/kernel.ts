import { constants } from 'node:os';
import { concatBytes, utf8 } from '../../core/bytes.ts';
import { loadAddon } from '../../router/engine/addon.ts';
import type { Addon } from '../../router/engine/addon.ts';
import { HostError } from './host-error.ts';
import { u32 } from './netlink-message.ts';
import { Turns } from './turns.ts';

/** One thing that the kernel is asked to do. */
export interface KernelStep {
  /** Completes "cannot ...": what is done, and to which interface. */
  readonly what: string;
  readonly kind: keyof typeof KINDS;
  /** Messages of netlink that want acknowledgements; of a file its path, a zero byte, and what is written to it. */
  readonly request: Uint8Array;
  /** An errno (os.constants.errno) that says that it is so already. */
  readonly tolerated?: number;
}

/** Requests to the kernel about network namespaces; {@link Kernel} makes them. */
export interface KernelPort {
  /**
   * Does the steps in order in the namespace at the path `netns`, or in that of the process, and stops at the first that
   * fails ({@link KernelError}). Resolves to the netlink messages that came in answer.
   */
  run(netns: string | undefined, steps: readonly KernelStep[]): Promise<Uint8Array>;
  /** Tells network namespaces apart; undefined if there is none at `path`. */
  namespaceNumber(path: string): bigint | undefined;
}

/** What the kernel refused. */
export class KernelError extends HostError {
  override name = 'KernelError';
  /** The name of the errno: "EEXIST". */
  readonly code: string;
  /** Position of the step; beyond them all if the namespace could not be entered. */
  readonly step: number;

  constructor(what: string, code: string, reason: string, step: number) {
    super(`cannot ${what}: ${reason}`);
    this.code = code;
    this.step = step;
  }
}

/** As native/src/kernel_steps.h has them: protocols of netlink, and what is none. */
const KINDS = { route: 0, netfilter: 12, file: 0xffff_ffff } as const;

type KernelAddon = Pick<Addon, 'kernelRun' | 'networkNamespace'>;

/** They all wait for one lock of the kernel; more would only keep the threads from files and the store. */
const AT_ONCE = 2;

/** By the addon, on threads beside the event loop. */
export class Kernel implements KernelPort {
  readonly #addon: KernelAddon;
  readonly #turns = new Turns(AT_ONCE);

  constructor(addon: KernelAddon = loadAddon()) {
    this.#addon = addon;
  }

  async run(netns: string | undefined, steps: readonly KernelStep[]): Promise<Uint8Array> {
    const outcome = await this.#turns.take(() => this.#addon.kernelRun(netns, encodeSteps(steps)));
    if (outcome.code === '') return outcome.replies;
    const { code, reason, said, step } = outcome;
    const what = steps[step]?.what ?? `enter the network namespace ${netns ?? 'of the daemon'}`;
    throw new KernelError(what, code, `${reason} (${code}${said === '' ? '' : `: ${said}`})`, step);
  }

  namespaceNumber(path: string): bigint | undefined {
    return this.#addon.networkNamespace(path);
  }
}

/** Writes a setting under /proc/sys/net of the namespace, if the kernel has it. */
export function setting(path: string, value: string): KernelStep {
  const request = concatBytes(utf8(path), Uint8Array.of(0), utf8(value));
  const { ENOENT } = constants.errno;
  return { what: `write ${value} to ${path}`, kind: 'file', request, tolerated: ENOENT };
}

function encodeSteps(steps: readonly KernelStep[]): Uint8Array {
  return concatBytes(
    ...steps.flatMap(({ kind, tolerated, request }) => [
      u32(KINDS[kind]),
      u32(tolerated ?? 0),
      u32(request.length),
      request,
    ]),
  );
}
