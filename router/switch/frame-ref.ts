import { frameHeaderBytes } from '../wire/ethernet.ts';
import { MAC_BYTES, type Mac } from '../wire/mac.ts';
import { RecentMacs } from './recent-macs.ts';

/** The frame at hand: where its bytes lie. One object serves frame after frame, so that none is made per packet. */
export class FrameRef {
  data: Uint8Array = new Uint8Array(0);
  /** SOURCE_TAP, SOURCE_RECEIVED or SOURCE_SCRATCH (of the send plan). */
  source = 0;
  item = 0;
  offset = 0;
  length = 0;
  /** Length of the largest frame that it will be cut into: a link may want less than the host did. */
  segment = 0;
  flags = 0;
  readonly #macs = new RecentMacs();

  set(
    data: Uint8Array,
    source: number,
    item: number,
    offset: number,
    length: number,
    segment: number,
    flags: number,
  ): void {
    this.data = data;
    this.source = source;
    this.item = item;
    this.offset = offset;
    this.length = length;
    this.segment = segment;
    this.flags = flags;
  }

  get destinationMac(): Mac {
    return this.#macs.read(this.data, this.offset);
  }

  get sourceMac(): Mac {
    return this.#macs.read(this.data, this.offset + MAC_BYTES);
  }

  get isSuperFrame(): boolean {
    return this.segment < this.length;
  }

  /** Largest IP packet, in bytes, that it holds or will be cut into. */
  get packetBytes(): number {
    return this.segment - frameHeaderBytes(this.data, this.offset, this.length);
  }
}
