import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EngineArrays } from './native-layout.ts';
import { EngineError } from './port.ts';

declare const handle: unique symbol;

/** A native engine; native.ts says what its functions do. It belongs to the thread that made it. */
export interface EngineHandle {
  readonly [handle]: 'engine';
}

/** An attached TAP. It belongs to the thread that opened it. */
export interface TapHandle {
  readonly [handle]: 'tap';
}

/** The kernel tells of changed addresses while one is held. It belongs to the thread that made it. */
export interface AddressWatchHandle {
  readonly [handle]: 'address watch';
}

/** An address that an interface of this host has. */
export interface InterfaceAddress {
  readonly name: string;
  /** IPv4 or IPv6, without a zone. */
  readonly address: string;
  /** The interface is up, and has a carrier. */
  readonly running: boolean;
}

/** Why {@link Addon.tapWriteFrames} did not write a frame, in the order of its counts. */
export const tapDrops = ['frame-malformed', 'frame-too-long', 'tap-queue-full'] as const;

/** What became of {@link Addon.kernelRun}. */
export interface KernelOutcome {
  /** The name of the errno of the step that failed; empty if none did. */
  readonly code: string;
  /** What the errno means. */
  readonly reason: string;
  /** What the kernel adds to that; often nothing. */
  readonly said: string;
  /** Position of the step that failed; beyond them all if the namespace could not be entered. */
  readonly step: number;
  /** The messages that came beside acknowledgements. */
  readonly replies: Uint8Array;
}

/** The functions in C (native/src). What fails in the system throws an Error whose `code` is the errno's name. */
export interface Addon {
  /**
   * Attaches to the TAP `name`, which is made if need be and outlives the handle. `superFrames`: the kernel hands over
   * TCP of up to 64 KiB uncut. `onReadable` is called from the event loop while frames wait, or when the TAP is gone.
   */
  tapOpen(name: string, superFrames: boolean, onReadable: () => void): TapHandle;
  tapClose(tap: TapHandle): void;
  /** Removes the TAP `name` from the host; nothing happens if there is none. */
  tapDelete(name: string): void;
  /**
   * Fills the arrays as in FrameBatch. Adds what the kernel or we cannot describe to `refused`, which counts as
   * {@link tapDrops} says. Returns the number of frames, or -1 if the TAP is gone.
   */
  tapRead(
    tap: TapHandle,
    data: Uint8Array,
    offset: Uint32Array,
    length: Uint32Array,
    segment: Uint32Array,
    flags: Uint8Array,
    refused: Uint32Array,
  ): number;
  /**
   * Writes the frames from `first` to before `end`, those that continue one another as one. Adds what was not written to
   * `refused` likewise. Returns 1 if the TAP is gone, else 0.
   */
  tapWriteFrames(
    tap: TapHandle,
    data: Uint8Array,
    first: number,
    end: number,
    offset: Uint32Array,
    length: Uint32Array,
    flags: Uint8Array,
    refused: Uint32Array,
  ): number;
  /**
   * Cuts a TCP super-frame into frames of at most `segment` bytes, written to `out` one after another. Returns their
   * number, or -1 if the frame cannot be cut or the arrays are too short. The engine does the same by itself.
   */
  cutFrame(frame: Uint8Array, segment: number, out: Uint8Array, lengths: Uint32Array): number;
  /**
   * Joins as many as possible of the frames that lie in `data` one after another, from the first on; returns how many,
   * 0 if the first cannot be joined at all. `out` gets the virtio-net header (10 bytes) and the frame.
   */
  joinFrames(data: Uint8Array, lengths: Uint32Array, flags: Uint8Array, out: Uint8Array): number;
  /** Overwrites an environment variable where other processes can see it, then removes it. */
  wipeEnvironment(name: string): void;
  /**
   * Takes the lock of the file `path`, which is made if need be, until {@link unlock} or the end of the process.
   * Undefined if another process holds it.
   */
  tryLock(path: string): number | undefined;
  unlock(lock: number): void;
  /**
   * Does the steps of native/src/kernel_steps.h on another thread, in the network namespace at the path `netns` or in
   * that of the process. The thread that calls stays where it is.
   */
  kernelRun(netns: string | undefined, steps: Uint8Array): Promise<KernelOutcome>;
  /** The inode number of the network namespace at `path`; undefined if there is none. */
  networkNamespace(path: string): bigint | undefined;
  /**
   * Calls `onChange` from the event loop when the addresses of this host, those of a link alone apart, may have changed or
   * an interface that is no port of a bridge may have; several changes at once are one.
   */
  watchAddresses(onChange: () => void): AddressWatchHandle;
  stopWatchingAddresses(watch: AddressWatchHandle): void;
  /** Of all interfaces, running or not, but for the loopback; costs two dumps of the kernel's. */
  hostAddresses(): InterfaceAddress[];

  /** The caller keeps `arrays` alive as long as the handle. */
  engineCreate(arrays: EngineArrays): EngineHandle;
  /** `address` has 0 bytes (every address), 4 or 16; for `worker` see WorkerShare. */
  engineBind(
    engine: EngineHandle,
    address: Uint8Array,
    port: number,
    worker: number,
    workers: number,
    onReady: () => void,
  ): void;
  engineAttach(engine: EngineHandle, tap: string, superFrames: boolean, onReady: () => void): void;
  /** Keeps each flow to one queue of the TAP, whichever way the other direction goes. Throws if the kernel refuses. */
  engineSteer(engine: EngineHandle): void;
  engineClose(engine: EngineHandle): void;
  /** The functions up to engineForget are the changes of the engine port; endpoints as in native-layout.ts. */
  engineAddSession(engine: EngineHandle, session: number, send?: Uint8Array, receive?: Uint8Array): void;
  engineRemoveSession(engine: EngineHandle, session: number): void;
  engineAddKey(
    engine: EngineHandle,
    session: number,
    phase: number,
    send: Uint8Array,
    receive: Uint8Array,
  ): void;
  engineRemoveKey(engine: EngineHandle, session: number, phase: number): void;
  engineSetSendPhase(engine: EngineHandle, session: number, phase: number): void;
  engineSetDirect(engine: EngineHandle, session: number, endpoint?: Uint8Array): void;
  engineAddIndex(engine: EngineHandle, index: number, session: number, tag: number, roams: boolean): void;
  engineRemoveIndex(engine: EngineHandle, index: number): void;
  engineSetPath(engine: EngineHandle, path: number, endpoint: Uint8Array, sendIndex: number): void;
  engineRemovePath(engine: EngineHandle, path: number): void;
  engineSetLabel(engine: EngineHandle, index: number, from: number, to: number, nextIndex: number): void;
  engineRemoveLabel(engine: EngineHandle, index: number): void;
  engineForget(engine: EngineHandle): void;
  /** Number of frames that are in the arrays now. */
  engineReadFrames(engine: EngineHandle): number;
  /** The caller has put so many frames into the arrays, in place of those that were read. */
  engineAdoptFrames(engine: EngineHandle, count: number): void;
  /** Number of messages that are in the arrays now. */
  engineReceive(engine: EngineHandle): number;
  engineSend(
    engine: EngineHandle,
    count: number,
    source: Uint8Array,
    item: Uint32Array,
    offset: Uint32Array,
    length: Uint32Array,
    prefixes: Uint8Array,
    prefixLength: Uint8Array,
    session: Uint32Array,
    path: Uint32Array,
    plain: Uint8Array,
    repeat: Uint32Array,
    scratch: Uint8Array,
  ): void;
  engineWriteFrames(
    engine: EngineHandle,
    count: number,
    source: Uint8Array,
    item: Uint32Array,
    offset: Uint32Array,
    length: Uint32Array,
    flags: Uint8Array,
    repeat: Uint8Array,
    scratch: Uint8Array,
  ): void;
  /** Number of events that are in the arrays now; drops are there at any time. */
  engineDrain(engine: EngineHandle): number;
  /** 0 = no, 1 = the UDP socket, 2 = the TAP is gone. Said once. */
  engineBroken(engine: EngineHandle): number;
}

/** The addon of this package. Throws an {@link EngineError} that names the remedy if it is missing or does not load. */
export function loadAddon(): Addon {
  const path = join(packageRoot(), 'native', 'build', 'weave_ts.node');
  if (!existsSync(path)) {
    throw new EngineError(`The native addon ${path} is missing: run "npm run build:native".`);
  }
  try {
    return createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new EngineError(`The native addon does not load (${why}): run "npm run build:native".`);
  }
}

/** The folder with native/: two above the sources, two or three above what is built of them. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'native')) && folder !== dirname(folder)) folder = dirname(folder);
  return folder;
}
