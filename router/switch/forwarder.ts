import type { PeerName } from '../../core/peer-name.ts';
import type { Millis } from '../../core/time.ts';
import { PREFIX_STRIDE, SOURCE_SCRATCH, SOURCE_TAP } from '../engine/port.ts';
import { LONGEST_ANSWER, mtuToAnswer, writeTooBig } from '../wire/icmp.ts';
import { ETHERNET_HEADER_BYTES } from '../wire/ethernet.ts';
import {
  BROADCAST_HEADER_BYTES,
  FRAGMENT_HEADER_BYTES,
  INNER_HEADER_BYTES,
  writeBroadcastPrefix,
  writeFragmentPrefix,
  writeFramePrefix,
  type BroadcastHeader,
} from '../wire/inner.ts';
import type { SwitchDrop } from './drops.ts';
import type { FrameRef } from './frame-ref.ts';
import type { LinkRoute, LinkView } from './link-view.ts';
import type { Plans } from './plans.ts';
import { TokenBucket } from '../../core/token-bucket.ts';
import { ICMP_BURST, ICMP_RATE, ICMP_SHARE } from './tuning.ts';

/** What a link carries besides an IP packet of its inner MTU: inner 2, broadcast 12, Ethernet 14, VLAN 4. */
const ROOM_BESIDES_PACKET = 32;
/** Senders are told apart by MAC, modulo so many: a prime, as MACs are numbered by whoever makes them. */
const ICMP_SENDERS = 61;
/** The total of a fragment is a u16. */
const LONGEST_MESSAGE = 65_535;

/** Writes plan entries for one frame to one peer: whole, in fragments, or as an ICMP answer to its sender. */
export class Forwarder {
  readonly #links: LinkView;
  readonly #onDrop: (reason: SwitchDrop) => void;
  readonly #icmpBucket = new TokenBucket(ICMP_RATE, ICMP_BURST);
  readonly #icmpSenders = Array.from(
    { length: ICMP_SENDERS },
    () => new TokenBucket(ICMP_RATE * ICMP_SHARE, ICMP_BURST * ICMP_SHARE),
  );
  /** Kind, flags and kind-specific header of the message at hand. */
  readonly #prefix = new Uint8Array(INNER_HEADER_BYTES + BROADCAST_HEADER_BYTES);
  #prefixLength = 0;
  #fragmentId = 0;

  constructor(links: LinkView, onDrop: (reason: SwitchDrop) => void) {
    this.#links = links;
    this.#onDrop = onDrop;
  }

  /** A frame that the host sent goes to the one peer that has its destination. */
  unicast(frame: FrameRef, peer: PeerName, plans: Plans, now: Millis): void {
    this.#prefixLength = writeFramePrefix(this.#prefix, 0, frame.flags);
    const route = this.#links.route(peer);
    if (route === undefined) this.#hold(frame, peer);
    else if (frame.packetBytes <= route.innerMtu)
      this.#sendWhole(frame, route, plans, repeatLimit(frame, route));
    else this.#sendTooBig(frame, route, plans, now);
  }

  /** A frame is flooded to one of the peers downstream. */
  broadcast(frame: FrameRef, header: BroadcastHeader, peer: PeerName, plans: Plans): void {
    this.#prefixLength = writeBroadcastPrefix(this.#prefix, 0, frame.flags, header);
    const route = this.#links.route(peer);
    if (route === undefined) this.#hold(frame, peer);
    else if (this.#fitsWhole(frame, route)) this.#sendWhole(frame, route, plans, 0);
    else this.#sendFragments(frame, route, plans);
  }

  /** With its prefix: beside a broadcast's there is room for one VLAN tag, not for two. */
  #fitsWhole(frame: FrameRef, { innerMtu }: LinkRoute): boolean {
    return (
      frame.packetBytes <= innerMtu && this.#prefixLength + frame.length <= innerMtu + ROOM_BESIDES_PACKET
    );
  }

  #sendWhole(frame: FrameRef, route: LinkRoute, plans: Plans, repeat: number): void {
    const i = this.#addEntry(frame, route, plans, frame.offset, frame.length);
    plans.send.repeat[i] = repeat;
    const prefixes = plans.send.prefixes;
    const at = i * PREFIX_STRIDE;
    for (let k = 0; k < this.#prefixLength; k++) prefixes[at + k] = this.#prefix[k]!;
    plans.send.prefixLength[i] = this.#prefixLength;
  }

  #sendTooBig(frame: FrameRef, route: LinkRoute, plans: Plans, now: Millis): void {
    const mtu = mtuToAnswer(frame.data, frame.offset, frame.length, route.innerMtu, frame.segment);
    if (mtu > 0) this.#answer(frame, mtu, plans, now);
    else if (frame.isSuperFrame) this.#sendSmaller(frame, route, plans);
    else this.#sendFragments(frame, route, plans);
  }

  /** Every super-frame is TCP, whose bytes may be cut anywhere: IPv6 at its least MTU on a link that carries less. */
  #sendSmaller(frame: FrameRef, route: LinkRoute, plans: Plans): void {
    frame.segment -= frame.packetBytes - route.innerMtu;
    this.#sendWhole(frame, route, plans, 0);
  }

  #answer(frame: FrameRef, mtu: number, plans: Plans, now: Millis): void {
    const mayAnswer =
      this.#icmpSenders[frame.sourceMac % ICMP_SENDERS]!.take(now) && this.#icmpBucket.take(now);
    const at = mayAnswer ? plans.reserveWrite(LONGEST_ANSWER) : -1;
    if (at < 0) return this.#onDrop('icmp-limited');
    this.#onDrop('frame-too-big');
    const write = plans.write;
    const length = writeTooBig(frame.data, frame.offset, frame.length, mtu, write.scratch, at);
    const i = plans.addWrite();
    write.source[i] = SOURCE_SCRATCH;
    write.offset[i] = at;
    write.length[i] = length;
    write.item[i] = 0;
    write.flags[i] = 0;
    write.repeat[i] = 0;
  }

  #sendFragments(frame: FrameRef, route: LinkRoute, plans: Plans): void {
    const total = this.#prefixLength + frame.length;
    const overhead = INNER_HEADER_BYTES + FRAGMENT_HEADER_BYTES;
    const room = route.innerMtu + ROOM_BESIDES_PACKET - overhead;
    if (total > LONGEST_MESSAGE || room <= this.#prefixLength) return this.#onDrop('frame-too-long');
    const id = this.#fragmentId;
    this.#fragmentId = (id + 1) >>> 0;
    for (let start = 0; start < total; start += room) {
      const end = Math.min(start + room, total);
      const header = start === 0 ? this.#prefixLength : 0;
      const from = frame.offset + start + header - this.#prefixLength;
      const i = this.#addEntry(frame, route, plans, from, end - start - header);
      const prefixes = plans.send.prefixes;
      const at = i * PREFIX_STRIDE;
      writeFragmentPrefix(prefixes, at, id, start, total);
      for (let k = 0; k < header; k++) prefixes[at + overhead + k] = this.#prefix[k]!;
      plans.send.prefixLength[i] = overhead + header;
    }
  }

  #addEntry(frame: FrameRef, route: LinkRoute, plans: Plans, offset: number, length: number): number {
    const i = plans.addSend();
    const send = plans.send;
    send.source[i] = frame.source;
    send.item[i] = frame.item;
    send.offset[i] = offset;
    send.length[i] = length;
    send.session[i] = route.session;
    send.path[i] = route.path;
    send.plain[i] = route.plain ? 1 : 0;
    send.repeat[i] = 0;
    return i;
  }

  /** What waits is a copy: the engine's buffers are used again before a session is there. */
  #hold(frame: FrameRef, peer: PeerName): void {
    if (frame.isSuperFrame) {
      // It could not be cut any more; TCP sends it again in segments.
      this.#onDrop('super-frame-unlinked');
      return this.#links.hold(peer, undefined);
    }
    const message = new Uint8Array(this.#prefixLength + frame.length);
    message.set(this.#prefix.subarray(0, this.#prefixLength));
    message.set(frame.data.subarray(frame.offset, frame.offset + frame.length), this.#prefixLength);
    this.#links.hold(peer, message);
  }
}

/**
 * Up to which length frames of the same flow may go the same way unasked; 0 = none. A trusted subnet ends at once, not
 * 100 ms later, so what goes plain is asked about every time.
 */
function repeatLimit(frame: FrameRef, route: LinkRoute): number {
  return frame.source === SOURCE_TAP && !route.plain ? route.innerMtu + ETHERNET_HEADER_BYTES : 0;
}
