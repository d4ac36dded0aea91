import { equalBytes } from '../../core/bytes.ts';
import type { Counters } from '../../core/counters.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { RandomSource } from '../../core/random.ts';
import { NoiseIkInitiator, NoiseIkResponder } from '../crypto/noise-ik.ts';
import type { NoiseSession } from '../crypto/noise-ik.ts';
import { rekeyPrologue } from '../crypto/noise-prologue.ts';
import { KEY_BYTES } from '../crypto/primitives.ts';
import type { KeyPair, Primitives } from '../crypto/primitives.ts';
import type { ToData } from '../node-messages.ts';
import { lanedKeys } from './offer-handshake.ts';
import { sessionName } from './session-name.ts';

/** Steps of a rekey on the wire: the responder's request, and the two messages of Noise IK. */
const ASK = 0;
const MESSAGE_1 = 1;
const MESSAGE_2 = 2;

/** Handshakes with one peer that may be complete here while the data plane has yet to say which one is in use. */
const MAX_PENDING = 4;

const NO_PAYLOAD = new Uint8Array(0);

export type RekeyDrop = 'rekey-unexpected' | 'rekey-undecipherable' | 'rekey-wrong-key';

export interface RekeyOptions {
  readonly staticKey: KeyPair;
  readonly primitives: Primitives;
  readonly random: RandomSource;
  readonly counters: Pick<Counters<RekeyDrop>, 'add'>;
}

/** What a session's later handshakes build on; keys are not among it. */
export interface SessionRoot {
  readonly initiator: boolean;
  /** How many a session has does not change. */
  readonly lanes: number;
  readonly remoteStatic: Uint8Array;
  readonly handshakeHash: Uint8Array;
}

interface SessionRecord {
  readonly id: number;
  readonly root: SessionRoot;
  /** Of the newest completed handshake. */
  hash: Uint8Array;
  phase: number;
  /** Of the initiator: the handshake that waits for step 2. Step 1 stays the same as long as it does. */
  running:
    { readonly phase: number; readonly noise: NoiseIkInitiator; readonly step1: Uint8Array } | undefined;
  /** Of the responder: the newest handshake, so that a repeated step 1 gets the same step 2. */
  answered: { readonly phase: number; readonly step1: Uint8Array; readonly step2: Uint8Array } | undefined;
}

/**
 * New keys for sessions that are in use, by Noise IK over the session itself. The data plane says when, carries the
 * messages and resends them; this end makes and reads them. Only the session's initiator begins a handshake.
 */
export class RekeyHandshakes {
  readonly #options: RekeyOptions;
  /** Per peer the session in use. */
  readonly #current = new Map<PeerName, SessionRecord>();
  /** Per peer the newest sessions that are not in use yet, in the order in which the data plane gets them. */
  readonly #pending = new Map<PeerName, readonly SessionRecord[]>();
  #effects: ToData[] = [];

  constructor(options: RekeyOptions) {
    this.#options = options;
  }

  /** The name under which the peer knows the session too; undefined if the session was replaced. */
  nameOf(peer: PeerName, id: number): string | undefined {
    const record = this.#recordsOf(peer).find((each) => each.id === id);
    return record && sessionName(record.root.handshakeHash);
  }

  /** The id of the session that both ends know by `name`; undefined if the data plane was given none. */
  idOf(peer: PeerName, name: string): number | undefined {
    return this.#recordsOf(peer).find(({ root }) => sessionName(root.handshakeHash) === name)?.id;
  }

  /**
   * A session was handed to the data plane. It replaces a pending one there, which may have come into use just before
   * that: its record stays until another session is known to be in use.
   */
  onSession(peer: PeerName, id: number, root: SessionRoot): void {
    const hash = root.handshakeHash;
    const record = { id, root, hash, phase: 0, running: undefined, answered: undefined };
    this.#pending.set(peer, [...this.#pendingOf(peer), record].slice(-MAX_PENDING));
  }

  onSessionLive(peer: PeerName, id: number): void {
    const pending = this.#pendingOf(peer);
    const at = pending.findIndex((record) => record.id === id);
    if (at < 0) return;
    if (at + 1 < pending.length) this.#pending.set(peer, pending.slice(at + 1));
    else this.#pending.delete(peer);
    this.#current.get(peer)?.running?.noise.wipe();
    this.#current.set(peer, pending[at]!);
  }

  /** All sessions with the peer have ended. */
  forget(peer: PeerName): void {
    this.#current.get(peer)?.running?.noise.wipe();
    this.#current.delete(peer);
    this.#pending.delete(peer);
  }

  /**
   * The data plane wants keys of this phase for the session with this id: step 1 (the same one again, if there is
   * one), or the request for it.
   */
  onDue(peer: PeerName, id: number, phase: number): void {
    const record = this.#inUse(peer, id);
    if (record === undefined || phase !== following(record.phase)) this.#drop('rekey-unexpected');
    else if (record.root.initiator) this.#begin(peer, record);
    else this.#send(peer, record, phase, ASK, NO_PAYLOAD);
  }

  /** Bytes that came under the current key of the session with this id. */
  onReceived(peer: PeerName, id: number, phase: number, step: number, bytes: Uint8Array): void {
    const record = this.#inUse(peer, id);
    if (record === undefined) this.#drop('rekey-unexpected');
    else if (record.root.initiator) this.#toInitiator(peer, record, phase, step, bytes);
    else if (step === MESSAGE_1) this.#toResponder(peer, record, phase, bytes);
    else this.#drop('rekey-unexpected');
  }

  drain(): ToData[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Undefined if another session has taken its place. */
  #inUse(peer: PeerName, id: number): SessionRecord | undefined {
    const record = this.#current.get(peer);
    return record?.id === id ? record : undefined;
  }

  #recordsOf(peer: PeerName): SessionRecord[] {
    const current = this.#current.get(peer);
    return current === undefined ? [...this.#pendingOf(peer)] : [current, ...this.#pendingOf(peer)];
  }

  #pendingOf(peer: PeerName): readonly SessionRecord[] {
    return this.#pending.get(peer) ?? [];
  }

  #toInitiator(peer: PeerName, record: SessionRecord, phase: number, step: number, bytes: Uint8Array): void {
    if (phase !== following(record.phase)) this.#drop('rekey-unexpected');
    else if (step === ASK) this.#begin(peer, record);
    else if (step === MESSAGE_2) this.#complete(peer, record, bytes);
    else this.#drop('rekey-unexpected');
  }

  #begin(peer: PeerName, record: SessionRecord): void {
    record.running ??= this.#start(record);
    const { phase, step1 } = record.running;
    if (step1.length > 0) this.#send(peer, record, phase, MESSAGE_1, step1);
  }

  /** Step 1 is empty if the peer's key is of low order; a session with such a key cannot have come about. */
  #start(record: SessionRecord): NonNullable<SessionRecord['running']> {
    const { random } = this.#options;
    const phase = following(record.phase);
    const options = { ...this.#options, prologue: rekeyPrologue(record.hash, phase) };
    const noise = new NoiseIkInitiator(options, record.root.remoteStatic, random.bytes(KEY_BYTES));
    return { phase, noise, step1: noise.writeMessage1(NO_PAYLOAD) ?? NO_PAYLOAD };
  }

  #complete(peer: PeerName, record: SessionRecord, bytes: Uint8Array): void {
    const read = record.running?.noise.readMessage2(bytes);
    if (read === undefined) {
      this.#drop(record.running === undefined ? 'rekey-unexpected' : 'rekey-undecipherable');
      return;
    }
    record.running = undefined;
    this.#handOver(peer, record, read.session, true);
  }

  #toResponder(peer: PeerName, record: SessionRecord, phase: number, step1: Uint8Array): void {
    const { answered } = record;
    if (answered?.phase === phase && equalBytes(answered.step1, step1)) {
      this.#send(peer, record, phase, MESSAGE_2, answered.step2);
    } else if (phase === following(record.phase)) {
      this.#answer(peer, record, phase, step1);
    } else {
      this.#drop('rekey-unexpected');
    }
  }

  #answer(peer: PeerName, record: SessionRecord, phase: number, step1: Uint8Array): void {
    const { random } = this.#options;
    const noise = new NoiseIkResponder({ ...this.#options, prologue: rekeyPrologue(record.hash, phase) });
    const read = noise.readMessage1(step1);
    if (read === undefined || !equalBytes(read.remoteStatic, record.root.remoteStatic)) {
      noise.wipe();
      this.#drop(read === undefined ? 'rekey-undecipherable' : 'rekey-wrong-key');
      return;
    }
    const written = noise.writeMessage2(NO_PAYLOAD, random.bytes(KEY_BYTES));
    if (written === undefined) {
      this.#drop('rekey-undecipherable');
      return;
    }
    record.answered = { phase, step1: step1.slice(), step2: written.message };
    this.#handOver(peer, record, written.session, false);
    this.#send(peer, record, phase, MESSAGE_2, written.message);
  }

  /** Before the answer leaves, the data plane must be able to open what it brings about. */
  #handOver(peer: PeerName, record: SessionRecord, session: NoiseSession, initiator: boolean): void {
    record.phase = following(record.phase);
    record.hash = session.handshakeHash;
    const { id, phase, root } = record;
    const keys = lanedKeys(this.#options.primitives, session.keys, root.lanes);
    this.#effects.push({ type: 'rekey-keys', peer, session: id, phase, initiator, keys });
  }

  #send(peer: PeerName, { id }: SessionRecord, phase: number, step: number, bytes: Uint8Array): void {
    this.#effects.push({ type: 'rekey-message', peer, session: id, phase, step, bytes });
  }

  #drop(reason: RekeyDrop): void {
    this.#options.counters.add(reason);
  }
}

function following(phase: number): number {
  return (phase + 1) & 255;
}
