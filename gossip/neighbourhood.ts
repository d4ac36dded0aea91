import { formatEndpoint, type Endpoint } from '../core/address.ts';
import { Counters } from '../core/counters.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import { earlier, type Millis } from '../core/time.ts';
import { admit, type Admission, type Greeted } from './admission.ts';
import { ConnectionLimit, type ConnectionLimitOptions } from './connection-limit.ts';
import { ConnectionMaker } from './connection-maker.ts';
import type { Connection, ConnectionFailure } from './connection.ts';
import { Connections, type Incident } from './connections.ts';
import { Dials, type Dial, type DialUnderWay } from './dials.ts';
import type { LogEffect } from './gossip-effect.ts';
import { HandshakeLimits, limitSentence, type LimitReason } from './handshake-limits.ts';
import { LostConnections } from './lost-connections.ts';
import { encodeMessage, type Hello, type Message } from './messages.ts';
import { NameContests } from './name-contests.ts';
import { Neighbour } from './neighbour.ts';
import type { NeighbourhoodEvent } from './neighbourhood-event.ts';
import { RefusedAttempts, type RefusedAttempt } from './refused-attempts.ts';
import { Remakes } from './remakes.ts';
import type { CryptoResult, SecureChannel } from './secure-channel.ts';
import { dialAddress } from './target-address.ts';

export interface NeighbourhoodConfig {
  /** Our hello but for what depends on the connection. */
  readonly hello: Omit<Hello, 'type' | 'replaces' | 'seenAt'>;
  /** Most neighbours; 0 = as many as an entry of the topology can name. */
  readonly connLimit: number;
  readonly discovery: boolean;
}

export interface NeighbourhoodDeps extends Pick<ConnectionLimitOptions, 'reachablePeer' | 'findSpare'> {
  readonly random: RandomSource;
  /** `attempt`: position of the password that a dialler is to try. */
  readonly createChannel: (role: 'dialler' | 'acceptor', remote: Endpoint, attempt: number) => SecureChannel;
  /** How many passwords a dialler may try. */
  readonly passwordCount: () => number;
}

/** How a connection ends: told to the other end, counted, shown. */
interface Ending extends ConnectionFailure {
  readonly bye?: boolean;
  /** At once, without waiting for what was written to leave. */
  readonly reset?: boolean;
}

const NONE = new Uint8Array(0);
/** Reasons for a bye that are counted as such; the other end must not invent counters. */
const BYES: ReadonlySet<string> = new Set([
  'connection-limit',
  'duplicate',
  'name-in-use',
  'password-dropped',
  'shed',
  'stopping',
]);

/** Who our neighbours are: makes and accepts connections, greets, decides which connection serves which peer. */
export class Neighbourhood {
  readonly maker: ConnectionMaker;
  readonly connections: Connections;
  readonly limit: ConnectionLimit;
  readonly refused = new RefusedAttempts();
  readonly failures = new Counters<string>();
  /** Connections that ended before the other end said who it is, and dials that a limit stopped. */
  readonly refusals = new Counters<string>();
  readonly #config: NeighbourhoodConfig;
  readonly #deps: NeighbourhoodDeps;
  readonly #neighbours = new Map<PeerName, Neighbour>();
  readonly #dials = new Dials();
  readonly #contests = new NameContests();
  readonly #limits: HandshakeLimits;
  readonly #remakes: Remakes;
  readonly #lost = new LostConnections();
  #events: NeighbourhoodEvent[] = [];
  /** Even, so that the edge may number what it accepts with odd ones. */
  #nextConn = 2;

  constructor(config: NeighbourhoodConfig, deps: NeighbourhoodDeps) {
    this.#config = config;
    this.limit = new ConnectionLimit({ limit: config.connLimit, neighbours: this.#neighbours, ...deps });
    this.#deps = deps;
    this.#limits = new HandshakeLimits(deps.passwordCount);
    this.connections = new Connections({
      refuses: (connection, guesses, now) => {
        const reason = this.#limits.onGuesses(connection, guesses, now);
        return reason && { reason, error: limitSentence(reason, connection.remote) };
      },
      isStranger: (connection) => this.#limits.isStranger(connection),
    });
    this.maker = new ConnectionMaker({
      self: config.hello.name,
      random: deps.random,
      defaultPort: config.hello.port,
      newConn: () => this.#newConn(),
      discovery: config.discovery,
      isReachable: (name) => deps.reachablePeer(name) !== undefined,
    });
    this.#remakes = new Remakes(this.#neighbours, (neighbour) => this.#redial(neighbour));
  }

  /** By name; the order has no meaning. */
  get neighbours(): ReadonlyMap<PeerName, Neighbour> {
    return this.#neighbours;
  }

  /** The addresses that are being dialled. */
  dials(): Iterable<Dial> {
    return this.#dials.waiting();
  }

  onAccepted(conn: number, remote: Endpoint, now: Millis): void {
    const reason = this.#limits.refuses(remote.ip, now);
    if (reason !== undefined) return this.#refuseAccepted(conn, remote, reason, now);
    const evicted = this.#limits.onAccepted(conn, remote.ip, now);
    const channel = this.#deps.createChannel('acceptor', remote, 0);
    this.connections.open({ conn, remote, outbound: false, channel }, now);
    const connection = evicted === undefined ? undefined : this.connections.get(evicted);
    if (connection !== undefined) {
      const error = limitSentence('half-open-limit', connection.remote);
      this.#end(connection, { reason: 'half-open-limit', error, reset: true }, now);
    }
  }

  onConnected(conn: number, remote: Endpoint, now: Millis): void {
    const dial = this.#dials.take(conn);
    if (dial === undefined) {
      this.#events.push({ type: 'close', conn });
      return;
    }
    // The passwords of one dial follow each other at once.
    const reason = dial.passwordIndex === 0 ? this.#limits.refusesDial(remote.ip, now) : undefined;
    if (reason !== undefined) return this.#giveUpDial(dial, remote, reason, now);
    this.#dials.answered(dial);
    const channel = this.#deps.createChannel('dialler', remote, dial.passwordIndex);
    this.connections.open({ conn, remote, outbound: true, channel }, now);
  }

  onDialFailed(conn: number, error: string, now: Millis): void {
    const dial = this.#dials.take(conn);
    if (dial === undefined) return;
    this.failures.add('dial');
    this.#endDial(conn, dial, error, now);
  }

  onBytes(conn: number, bytes: Uint8Array, now: Millis): void {
    this.connections.onBytes(conn, bytes, now);
  }

  onTaskDone(task: number, result: CryptoResult, now: Millis): void {
    this.connections.onTaskDone(task, result, now);
  }

  /** Whether it took no more before. */
  onWritable(conn: number): boolean {
    return this.connections.get(conn)?.onWritable() ?? false;
  }

  /** The stream ended by itself. */
  onClosed(conn: number, error: string | undefined, now: Millis): void {
    const connection = this.connections.get(conn);
    if (connection === undefined) return;
    this.connections.forget(connection);
    const sentence = this.#limits.endSentence(connection, error, now);
    this.#settle(connection, { reason: 'stream', error: sentence }, now);
  }

  /** The process `uid` under `name` answered: whoever wants its name is refused. */
  onAlive(name: PeerName, uid: string, now: Millis): void {
    for (const conn of this.#contests.onAlive(name, uid)) this.#refuseName(conn, name, now);
  }

  /** Ends the connection to a neighbour that neither end chose. */
  shed(neighbour: Neighbour, now: Millis): void {
    const error = 'the backbone does not need this connection';
    this.#end(neighbour.connection, { reason: 'shed', error, bye: true }, now);
  }

  /**
   * `newIndexOf[i]` = where the password that was at position i is now; undefined if it is dropped. Returns how many
   * connections are to be re-made; those to nobody in particular yet are ended.
   */
  onPasswordsChanged(newIndexOf: readonly (number | undefined)[], now: Millis): number {
    for (const connection of this.connections.all()) {
      connection.onPasswordsChanged(newIndexOf);
      const isOrphan = connection.sid.length > 0 && connection.passwordIndex === undefined;
      if (isOrphan && this.#neighbourOf(connection) === undefined) this.#endOrphan(connection, now);
    }
    const kept = newIndexOf.filter((at) => at !== undefined).length;
    const added = this.#deps.passwordCount() > kept;
    this.#dials.onPasswordsChanged();
    if (added) this.#limits.onPasswordAdded();
    this.maker.onPasswordsChanged(added, now);
    return this.#remakes.onPasswordsChanged(now);
  }

  /** Says bye to everyone. */
  stop(now: Millis): void {
    const error = `${this.#config.hello.nickname} is stopping`;
    for (const connection of this.connections.all()) {
      this.#end(connection, { reason: 'stopping', error, bye: true }, now);
    }
  }

  nextTimeout(): Millis | undefined {
    const own = earlier(this.maker.nextTimeout(), this.connections.nextTimeout());
    return earlier(own, earlier(this.#contests.nextTimeout(), this.#remakes.nextTimeout()));
  }

  onTimeout(now: Millis): void {
    this.connections.onTimeout(now);
    this.#pump(now);
    for (const conn of this.#contests.onTimeout(now)) this.#acceptContested(conn, now);
    for (const ping of this.#contests.takePings(now)) this.#events.push({ type: 'ping', ...ping });
    for (const { connection } of this.#remakes.onTimeout(now)) this.#endOrphan(connection, now);
    this.maker.allowDials(!this.limit.isReached);
    for (const dial of this.maker.onTimeout(now))
      this.#dial({ ...dial, replaces: this.#lost.sidOf(dial.peer), remakes: false });
  }

  drain(now: Millis): NeighbourhoodEvent[] {
    this.#pump(now);
    const events = this.#events;
    if (events.length > 0) this.#events = [];
    return events;
  }

  #dial(dial: DialUnderWay): void {
    this.#dials.begin(dial);
    this.#events.push({ type: 'dial', conn: dial.conn, ...dial.address });
  }

  #redial({ connection, name: peer }: Neighbour): void {
    const address = this.maker.targetOf(connection.conn)?.address ?? dialAddress(connection.remote);
    const replaces = connection.sid;
    this.#dial({ conn: this.#newConn(), address, peer, passwordIndex: 0, replaces, remakes: true });
  }

  #newConn(): number {
    this.#nextConn += 2;
    return this.#nextConn - 2;
  }

  /** Nothing was made for it yet, and nothing is. */
  #refuseAccepted(conn: number, remote: Endpoint, reason: LimitReason, now: Millis): void {
    this.#events.push({ type: 'close', conn, reset: true });
    this.failures.add(reason);
    this.refusals.add(reason);
    const error = limitSentence(reason, remote);
    this.#noteAttempt(remote, reason, { peer: '', nickname: '', error, at: now });
  }

  #giveUpDial(dial: DialUnderWay, remote: Endpoint, reason: LimitReason, now: Millis): void {
    this.#events.push({ type: 'close', conn: dial.conn, reset: true });
    this.failures.add(reason);
    this.refusals.add(reason);
    this.#endDial(dial.conn, dial, limitSentence(reason, remote), now);
  }

  /** A dial that is to replace a connection is no target's: what became of it is said of that connection. */
  #endDial(conn: number, dial: DialUnderWay | undefined, error: string, now: Millis): void {
    if (dial?.remakes) return this.#remakes.onFailed(dial.replaces, error);
    this.#logTarget(conn, error);
    this.maker.onEnded(conn, error, now);
  }

  #pump(now: Millis): void {
    for (let outputs = this.connections.drain(); outputs.length > 0; outputs = this.connections.drain()) {
      for (const output of outputs) {
        if (output.type === 'incident') this.#onIncident(output.connection, output.incident, now);
        else this.#events.push(output);
      }
    }
  }

  #onIncident(connection: Connection, incident: Incident, now: Millis): void {
    if (this.connections.get(connection.conn) !== connection) return;
    switch (incident.type) {
      case 'opened':
        // Its password may have been dropped while it was being proven.
        if (connection.passwordIndex === undefined) return this.#endOrphan(connection, now);
        return this.#greet(connection, now);
      case 'hello':
        return this.#onHello(connection, incident.hello, now);
      case 'message':
        return this.#onMessage(connection, incident.message, now);
      case 'failed':
        return this.#end(connection, incident.failure, now);
    }
  }

  #greet(connection: Connection, now: Millis): void {
    this.#limits.onProved(connection);
    const hello: Hello = {
      type: 'hello',
      ...this.#config.hello,
      replaces: this.#dials.of(connection.conn)?.replaces ?? NONE,
      seenAt: connection.remote,
    };
    this.connections.send(connection, encodeMessage(hello), now);
  }

  #onHello(connection: Connection, hello: Hello, now: Millis): void {
    this.#limits.onHello(connection.conn);
    const existing = this.#neighbours.get(hello.name);
    const admission = admit(this.#greeted(connection, hello), {
      self: this.#config.hello,
      existing,
      knownUid: this.#deps.reachablePeer(hello.name)?.uid,
      isFull: this.limit.isReached,
    });
    this.#onAdmission(connection, hello, admission, now);
  }

  #onAdmission(connection: Connection, hello: Hello, admission: Admission, now: Millis): void {
    switch (admission.verdict) {
      case 'accept':
      case 'replace':
        return this.#register(connection, hello, true, now);
      case 'duplicate':
        return this.#end(connection, { reason: 'duplicate', error: 'duplicate connection', bye: true }, now);
      case 'ourself':
        return this.#end(connection, { reason: 'ourself', error: 'cannot connect to ourself' }, now);
      case 'our-name': {
        // The other end sees the same, and names us.
        const error = `name in use by ${hello.nickname} at ${formatEndpoint(connection.remote)}`;
        return this.#end(connection, { reason: 'name-in-use', error }, now);
      }
      case 'full':
        if (this.#makeRoom(hello, now)) return this.#register(connection, hello, true, now);
        return this.#refuseAsFull(connection, now);
      case 'contest':
        return this.#contest(connection, hello.name, admission.incumbentUid, now);
    }
  }

  #contest(connection: Connection, name: PeerName, uid: string, now: Millis): void {
    if (this.#contests.begin(connection.conn, name, uid, now)) this.#events.push({ type: 'ping', name, uid });
    else this.#end(connection, { reason: 'name-contests', error: 'too many names are contested' }, now);
  }

  #acceptContested(conn: number, now: Millis): void {
    const connection = this.connections.get(conn);
    if (connection?.hello === undefined) return;
    if (this.limit.isReached && !this.#neighbours.has(connection.hello.name))
      this.#refuseAsFull(connection, now);
    else this.#register(connection, connection.hello, false, now);
  }

  #makeRoom(newcomer: Hello, now: Millis): boolean {
    const spare = this.limit.findPlace(newcomer, now);
    if (spare === undefined) return false;
    const error = this.limit.sentenceOfRoomFor(newcomer);
    this.#end(spare.connection, { reason: 'connection-limit', error, bye: true }, now);
    return true;
  }

  #refuseAsFull(connection: Connection, now: Millis): void {
    this.#end(connection, { reason: 'connection-limit', error: this.limit.sentence, bye: true }, now);
  }

  #refuseName(conn: number, name: PeerName, now: Millis): void {
    const connection = this.connections.get(conn);
    if (connection === undefined) return;
    const neighbour = this.#neighbours.get(name);
    const entry = this.#deps.reachablePeer(name);
    const nickname = neighbour?.hello.nickname ?? entry?.nickname ?? name;
    const published = entry?.addresses[0];
    const address =
      neighbour?.address ?? (published === undefined ? 'an unknown address' : formatEndpoint(published));
    const error = `name in use by ${nickname} at ${address}`;
    this.#end(connection, { reason: 'name-in-use', error, bye: true }, now);
  }

  #register(connection: Connection, hello: Hello, mutual: boolean, now: Millis): void {
    const existing = this.#neighbours.get(hello.name);
    const { replaces } = this.#greeted(connection, hello);
    const neighbour = new Neighbour(connection, hello, replaces, (to, message, at) =>
      this.connections.send(to, message, at),
    );
    neighbour.isEstablished = existing?.hello.uid === hello.uid && existing.isEstablished;
    this.#neighbours.set(hello.name, neighbour);
    this.maker.onRegistered(connection.conn, hello.name, connection.remote.ip, now);
    if (existing !== undefined) {
      const error = 'another connection took its place';
      this.#end(existing.connection, { reason: 'duplicate', error, bye: true }, now);
    }
    this.#log('info', 'connected', neighbour.logFields);
    this.#events.push({ type: 'up', neighbour, mutual });
  }

  #greeted(connection: Connection, hello: Hello): Greeted {
    const replaces = connection.outbound ? this.#dials.of(connection.conn)?.replaces : hello.replaces;
    return { hello, sid: connection.sid, replaces: replaces ?? NONE };
  }

  #onMessage(connection: Connection, message: Exclude<Message, Hello>, now: Millis): void {
    if (message.type === 'bye') {
      const error = message.sentence === '' ? 'the other end said bye' : message.sentence;
      const reason = BYES.has(message.reason) ? message.reason : 'bye';
      return this.#end(connection, { reason, error }, now);
    }
    const neighbour = this.#neighbourOf(connection);
    if (neighbour === undefined) return; // contested: it will be asked for everything if it is accepted
    if (!neighbour.isEstablished) {
      neighbour.isEstablished = true;
      this.#events.push({ type: 'established', neighbour });
    }
    if (message.type === 'remake') this.#remakes.begin(neighbour, now);
    else if (message.type !== 'heartbeat') this.#events.push({ type: 'message', neighbour, message });
  }

  /** Refuses what a neighbour sent. */
  refuse(neighbour: Neighbour, failure: ConnectionFailure, now: Millis): void {
    this.#end(neighbour.connection, failure, now);
  }

  #neighbourOf(connection: Connection): Neighbour | undefined {
    const name = connection.hello?.name;
    const neighbour = name === undefined ? undefined : this.#neighbours.get(name);
    return neighbour?.connection === connection ? neighbour : undefined;
  }

  #endOrphan(connection: Connection, now: Millis): void {
    const error = `the password of the connection to ${formatEndpoint(connection.remote)} is no longer held`;
    this.#end(connection, { reason: 'password-dropped', error, bye: true }, now);
  }

  #end(connection: Connection, ending: Ending, now: Millis): void {
    if (this.connections.get(connection.conn) !== connection) return;
    if (ending.bye) {
      const bye = encodeMessage({ type: 'bye', reason: ending.reason, sentence: ending.error });
      this.connections.send(connection, bye, now);
    }
    this.connections.close(connection, ending.reset);
    this.#settle(connection, ending, now);
  }

  /** Everything that follows from the end of a connection. */
  #settle(connection: Connection, { reason, error }: ConnectionFailure, now: Millis): void {
    const { conn } = connection;
    this.failures.add(reason);
    if (!connection.outbound && connection.hello === undefined) {
      this.refusals.add(reason === 'stream' ? 'handshake-abandoned' : reason);
    }
    this.#limits.onEnded(connection, now);
    this.#contests.cancel(conn);
    this.#settleTarget(connection, reason, error, now);
    this.#dials.end(conn);
    const neighbour = this.#neighbourOf(connection);
    if (neighbour === undefined) return;
    this.#neighbours.delete(neighbour.name);
    if (reason === 'stream' || reason === 'silent') this.#lost.add(neighbour.name, neighbour.sid, now);
    this.maker.onDisconnected(neighbour.name);
    this.#log('info', 'disconnected', { ...neighbour.logFields, reason: error });
    this.#events.push({ type: 'down', neighbour, reason });
    const waiting = this.#contests.onGone(neighbour.name, neighbour.hello.uid);
    for (const newcomer of waiting) this.#acceptContested(newcomer, now);
  }

  #settleTarget(connection: Connection, reason: string, error: string, now: Millis): void {
    const { conn, hello } = connection;
    if (reason === 'duplicate' && hello !== undefined) return this.maker.onDuplicate(conn, hello.name, now);
    if (!connection.outbound) return this.#noteRefused(connection, reason, error, now);
    const dial = this.#dials.of(conn);
    const next = (dial?.passwordIndex ?? 0) + 1;
    if (reason === 'password-mismatch' && next < this.#deps.passwordCount()) {
      // A dial that is to replace a connection is no target's.
      if (dial?.remakes) return this.#dial({ ...dial, conn: this.#newConn(), passwordIndex: next });
      return this.maker.tryPassword(conn, next, now);
    }
    this.#endDial(conn, dial, error, now);
  }

  #noteRefused(connection: Connection, reason: string, error: string, now: Millis): void {
    if (reason === 'ourself' || reason === 'stopping' || this.#neighbourOf(connection)) return;
    if (reason === 'stream' && connection.hello === undefined) return; // a port scan or a health check
    const { name: peer = '', nickname = '' } = connection.hello ?? {};
    this.#noteAttempt(connection.remote, reason, { peer, nickname, error, at: now });
  }

  #noteAttempt(remote: Endpoint, reason: string, attempt: Omit<RefusedAttempt, 'address'>): void {
    if (!this.refused.add(remote, reason, attempt)) return;
    this.#log('warn', 'refused a connection', { address: formatEndpoint(remote), reason: attempt.error });
  }

  /** Logs why a target cannot be reached, once for each reason in a row. */
  #logTarget(conn: number, error: string): void {
    const target = this.maker.targetOf(conn);
    if (target === undefined || target.error === error || target.attempt?.connectedAt !== undefined) return;
    this.#log('warn', 'cannot connect', { address: target.text, reason: error });
  }

  #log(level: LogEffect['level'], message: string, fields: LogEffect['fields']): void {
    this.#events.push({ type: 'log', level, message, fields });
  }
}
