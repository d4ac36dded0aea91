import { Counters } from '../../core/counters.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import type { Millis } from '../../core/time.ts';
import {
  FLAG_CHECKSUM_PARTIAL,
  SOURCE_RECEIVED,
  SOURCE_SCRATCH,
  SOURCE_TAP,
  type FrameBatch,
  type MessageBatch,
} from '../engine/port.ts';
import { isFrame } from '../wire/ethernet.ts';
import {
  BROADCAST_HEADER_BYTES,
  INNER_HEADER_BYTES,
  KIND_BROADCAST,
  KIND_FRAGMENT,
  KIND_FRAME,
  broadcastEpoch,
  broadcastOriginator,
  broadcastSequence,
  broadcastTtl,
  isBroadcast,
  type BroadcastHeader,
} from '../wire/inner.ts';
import { isLane, laneOf } from '../wire/lanes.ts';
import { MAC_BYTES, isGroup, isReserved, readMac, type Mac } from '../wire/mac.ts';
import type { SwitchDrop } from './drops.ts';
import { Flood } from './flood.ts';
import { Forwarder } from './forwarder.ts';
import { FrameRef } from './frame-ref.ts';
import type { LinkView } from './link-view.ts';
import { MacTable, type MacEvent, type ShareMac, type SharedMac } from './mac-table.ts';
import type { Plans } from './plans.ts';
import { Reassembly } from './reassembly.ts';
import { TokenBucket } from '../../core/token-bucket.ts';
import { SHARING_BURST, SHARING_RATE } from './tuning.ts';

/** Where frames go that the host sent and that another worker must decide on. */
export interface Detour {
  /** Whether a frame to `mac` would overtake one that went that way. */
  holds(mac: Mac, now: Millis): boolean;
  take(frame: FrameRef, now: Millis): void;
}

/** Only where several workers share the frames of one host. */
export interface SwitchSharing {
  /** Called with what the other workers should learn. */
  readonly share: (shared: SharedMac) => void;
  /** Not of the worker that decides on everything. */
  readonly detour: Detour | undefined;
}

/**
 * The learning switch: looks at the headers of a batch and writes plans for the engine.
 * Nothing here fails: what cannot be forwarded is dropped and counted.
 */
export class Switch {
  readonly drops = new Counters<SwitchDrop>();
  readonly #links: LinkView;
  readonly #macs: MacTable;
  readonly #detour: Detour | undefined;
  readonly #flood = new Flood();
  readonly #forwarder: Forwarder;
  readonly #reassembly: Reassembly;
  readonly #frame = new FrameRef();
  readonly #onDrop = (reason: SwitchDrop): void => this.drops.add(reason);

  constructor(links: LinkView, sharing?: SwitchSharing) {
    this.#links = links;
    this.#macs = new MacTable(undefined, sharing && this.#shareWith(sharing.share));
    this.#detour = sharing?.detour;
    this.#forwarder = new Forwarder(links, this.#onDrop);
    this.#reassembly = new Reassembly(this.#onDrop);
  }

  /** Frames that the host sent. */
  planFrames(batch: FrameBatch, plans: Plans, now: Millis): void {
    const { data, offset, length, segment, flags } = batch;
    for (let i = 0; i < batch.count; i++) {
      this.#frame.set(data, SOURCE_TAP, i, offset[i]!, length[i]!, segment[i]!, flags[i]!);
      this.#fromHost(plans, now);
      // A link may want it cut smaller, and the engine looks here.
      segment[i] = this.#frame.segment;
    }
  }

  /** Frames, broadcasts and fragments that peers sent; entries of other kinds are left to the caller. */
  planMessages(batch: MessageBatch, plans: Plans, now: Millis): void {
    for (let i = 0; i < batch.count; i++) {
      const kind = batch.kind[i]!;
      if (kind !== KIND_FRAME && kind !== KIND_FRAGMENT) {
        if (isLane(batch.session[i]!)) {
          this.#onDrop('lane-message');
          continue;
        }
        if (kind !== KIND_BROADCAST) continue;
      }
      const sender = this.#links.sender(batch, i);
      if (sender === undefined) this.drops.add(batch.plain[i] === 1 ? 'plain-unwelcome' : 'sender-unknown');
      else this.#fromPeer(batch, i, sender, plans, now);
    }
  }

  /** A message that {@link LinkView.hold} took, now that `peer` has a route; held again if it has none. */
  planHeld(peer: PeerName, message: Uint8Array, plans: Plans, now: Millis): void {
    const header = message[0] === KIND_BROADCAST ? BROADCAST_HEADER_BYTES : 0;
    const offset = INNER_HEADER_BYTES + header;
    const length = message.length - offset;
    if (!this.#stage(message, offset, length, message[1]!, plans)) return;
    if (header === 0) this.#forwarder.unicast(this.#frame, peer, plans, now);
    else this.#forwarder.broadcast(this.#frame, heldHeader(message), peer, plans);
  }

  onRoutes(routes: RoutesSnapshot, now: Millis): void {
    this.#flood.onRoutes(routes, now);
  }

  /** All MACs of attached local ports, 6 bytes each. */
  onLocalMacs(macs: Uint8Array): void {
    this.#macs.setAttached(macs);
  }

  /** All MACs behind `peer`, as it says itself, 6 bytes each. */
  onPeerMacs(peer: PeerName, macs: Uint8Array, now: Millis): void {
    for (let at = 0; at + MAC_BYTES <= macs.length; at += MAC_BYTES) {
      const mac = readMac(macs, at);
      if (!isGroup(mac)) this.#macs.learnRemote(mac, peer, now);
    }
  }

  /** What another worker learned. */
  onShared(macs: readonly SharedMac[], now: Millis): void {
    for (const shared of macs) this.#macs.learnShared(shared, now);
  }

  /** The peer is no longer part of the mesh. */
  onPeerGone(peer: PeerName): void {
    this.#macs.forgetPeer(peer);
    this.#reassembly.forgetPeer(peer);
  }

  nextTimeout(): Millis | undefined {
    return this.#reassembly.nextTimeout();
  }

  onTimeout(now: Millis): void {
    this.#reassembly.onTimeout(now);
  }

  /** MACs known now. */
  macCount(now: Millis): number {
    return this.#macs.size(now);
  }

  /** Times that a MAC turned up elsewhere. */
  get macMoves(): number {
    return this.#macs.moves;
  }

  /** Moves and loops to be logged. */
  drainEvents(): readonly MacEvent[] {
    return this.#macs.drainEvents();
  }

  /** Another worker may be slow to read what it is told, and strangers can make up MACs as fast as frames. */
  #shareWith(share: SwitchSharing['share']): ShareMac {
    const bucket = new TokenBucket(SHARING_RATE, SHARING_BURST);
    return (shared, now) => {
      const passes = bucket.take(now);
      if (passes) share(shared);
      else this.drops.add('learned-limited');
      return passes;
    };
  }

  #fromHost(plans: Plans, now: Millis): void {
    const fault = frameFault(this.#frame);
    if (fault !== undefined) return this.#onDrop(fault);
    if (this.#detour !== undefined && this.#mustDetour(this.#detour, now))
      return this.#detour.take(this.#frame, now);
    if (this.#macs.learnLocal(this.#frame.sourceMac, now) === 'loop') return this.#onDrop('frame-looped');
    const destination = this.#frame.destinationMac;
    const where = isGroup(destination) ? undefined : this.#macs.lookup(destination, now);
    if (where === undefined) this.#startFlood(plans, now);
    else if (where === 'local') this.#onDrop('frame-destination-local');
    else this.#forwarder.unicast(this.#frame, where, plans, now);
  }

  /** Nothing is learned of such a frame: that, too, is for whoever decides on it. */
  #mustDetour(detour: Detour, now: Millis): boolean {
    const destination = this.#frame.destinationMac;
    const where = isGroup(destination) ? undefined : this.#macs.lookup(destination, now);
    if (where === 'local') return false;
    return where === undefined || this.#links.route(where) === undefined || detour.holds(destination, now);
  }

  #startFlood(plans: Plans, now: Millis): void {
    if (this.#frame.isSuperFrame) return this.#onDrop('super-frame-flooded');
    const header = this.#flood.start(isGroup(this.#frame.destinationMac), now);
    if (typeof header === 'string') return this.#onDrop(header);
    this.#passOn(header, undefined, plans);
  }

  #fromPeer(batch: MessageBatch, i: number, sender: PeerName, plans: Plans, now: Millis): void {
    const offset = batch.offset[i]!;
    const length = batch.length[i]!;
    const kind = batch.kind[i]!;
    if (kind === KIND_FRAGMENT) {
      return this.#fragmentFromPeer(batch, i, sender, plans, now);
    }
    const flags = batch.flags[i]! & FLAG_CHECKSUM_PARTIAL;
    this.#frame.set(batch.data, SOURCE_RECEIVED, i, offset, length, length, flags);
    if (kind === KIND_FRAME) this.#unicastFromPeer(sender, plans, now);
    else this.#broadcastFromPeer(sender, plans, now);
  }

  /** The host's bridge does the last step, so an unknown destination is its business and never forwarded again. */
  #unicastFromPeer(sender: PeerName, plans: Plans, now: Millis): void {
    const fault = frameFault(this.#frame);
    if (fault !== undefined) return this.#onDrop(fault);
    this.#macs.learnRemote(this.#frame.sourceMac, sender, now);
    const destination = this.#frame.destinationMac;
    const where = isGroup(destination) ? 'local' : (this.#macs.lookup(destination, now) ?? 'local');
    if (where === 'local') this.#deliver(plans, this.#frame.source === SOURCE_RECEIVED);
    else this.#onDrop('frame-destination-elsewhere');
  }

  /** `#frame` is the whole payload at first; without the broadcast header it is the frame. */
  #broadcastFromPeer(sender: PeerName, plans: Plans, now: Millis): void {
    const { data, offset, length } = this.#frame;
    if (!isBroadcast(length)) return this.#onDrop('broadcast-malformed');
    const originator = broadcastOriginator(data, offset);
    const epoch = broadcastEpoch(data, offset);
    const sequence = broadcastSequence(data, offset);
    const ttl = broadcastTtl(data, offset);
    this.#frame.offset += BROADCAST_HEADER_BYTES;
    this.#frame.length -= BROADCAST_HEADER_BYTES;
    this.#frame.segment = this.#frame.length;
    const fault = frameFault(this.#frame);
    if (fault !== undefined) return this.#onDrop(fault);
    const verdict = this.#flood.admit(originator, epoch, sequence, now);
    if (verdict !== 'new') return this.#onDrop(verdict);
    this.#macs.learnRemote(this.#frame.sourceMac, this.#flood.nameOf(originator)!, now);
    this.#deliver(plans, false);
    this.#passOn(this.#flood.passOn(originator, epoch, sequence, ttl), sender, plans);
  }

  #fragmentFromPeer(batch: MessageBatch, i: number, sender: PeerName, plans: Plans, now: Millis): void {
    const lane = laneOf(batch.session[i]!);
    const { data, offset, length } = batch;
    const message = this.#reassembly.add(sender, lane, data, offset[i]!, length[i]!, now);
    if (message === undefined) return;
    const kind = message[0];
    if (kind !== KIND_FRAME && kind !== KIND_BROADCAST) return this.#onDrop('fragment-kind-unknown');
    if (kind === KIND_BROADCAST && isLane(batch.session[i]!)) return this.#onDrop('lane-message');
    const bytes = message.length - INNER_HEADER_BYTES;
    if (!this.#stage(message, INNER_HEADER_BYTES, bytes, message[1]!, plans)) return;
    if (kind === KIND_FRAME) this.#unicastFromPeer(sender, plans, now);
    else this.#broadcastFromPeer(sender, plans, now);
  }

  /** To the peers downstream, but never back. */
  #passOn(header: BroadcastHeader, sender: PeerName | undefined, plans: Plans): void {
    const children = this.#flood.childrenOf(header.originator);
    if (children.length > 0 && header.ttl <= 0) return this.#onDrop('broadcast-expired');
    for (const position of children) {
      const child = this.#flood.nameAt(position);
      if (child !== sender) this.#forwarder.broadcast(this.#frame, header, child, plans);
    }
  }

  /** Writes `#frame` to the TAP; `repeat`: so may be done with those that follow it from its MAC to the same. */
  #deliver(plans: Plans, repeat: boolean): void {
    const { data, source, item, offset, length, flags } = this.#frame;
    let at = offset;
    if (source === SOURCE_SCRATCH) {
      // The scratch that it lies in is the send plan's; the write plan has its own.
      at = plans.reserveWrite(length);
      if (at < 0) return this.#onDrop('frame-too-long');
      plans.write.scratch.set(data.subarray(offset, offset + length), at);
    }
    const i = plans.addWrite();
    plans.write.source[i] = source;
    plans.write.item[i] = item;
    plans.write.offset[i] = at;
    plans.write.length[i] = length;
    plans.write.flags[i] = flags;
    plans.write.repeat[i] = repeat ? 1 : 0;
  }

  /** Puts bytes of our own where plan entries can refer to them, as `#frame`. False if they are too many. */
  #stage(message: Uint8Array, offset: number, length: number, flags: number, plans: Plans): boolean {
    const at = length < 0 ? -1 : plans.reserveSend(length);
    if (at < 0) {
      this.#onDrop('frame-too-long');
      return false;
    }
    plans.send.scratch.set(message.subarray(offset, offset + length), at);
    this.#frame.set(plans.send.scratch, SOURCE_SCRATCH, 0, at, length, length, flags & FLAG_CHECKSUM_PARTIAL);
    return true;
  }
}

function frameFault(frame: FrameRef): SwitchDrop | undefined {
  if (!isFrame(frame.length)) return 'frame-malformed';
  if (isReserved(frame.destinationMac)) return 'frame-reserved-destination';
  return isGroup(frame.sourceMac) ? 'frame-group-source' : undefined;
}

function heldHeader(message: Uint8Array): BroadcastHeader {
  return {
    originator: broadcastOriginator(message, INNER_HEADER_BYTES),
    sequence: broadcastSequence(message, INNER_HEADER_BYTES),
    ttl: broadcastTtl(message, INNER_HEADER_BYTES),
    epoch: broadcastEpoch(message, INNER_HEADER_BYTES),
  };
}
