import { SeededRandom } from '../../core/random.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { encodeEntries } from '../../ipam/delta-codec.ts';
import type { IpamPeer, IpamRequest, IpamResult } from '../../ipam/effects.ts';
import type { Entry } from '../../ipam/entries.ts';
import { Ipam } from '../../ipam/ipam.ts';
import type { Message } from '../../ipam/messages.ts';
import { decodeMessage, encodeMessage } from '../../ipam/messages.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import type { IpamSettings } from '../../ipam/settings.ts';

/** One allocator whose peers are played by the test. Commits are durable at once. */
export class LoneIpam {
  readonly settings: IpamSettings;
  readonly ipam: Ipam;
  readonly sent: { readonly to: PeerName; readonly message: Message }[] = [];
  readonly replies = new Map<number, IpamResult>();
  readonly logs: string[] = [];
  readonly #name: PeerName;
  now = 0;

  constructor(name: PeerName, generation: string, names: readonly PeerName[], range: string) {
    this.settings = parseIpamSettings(range, undefined) as IpamSettings;
    this.#name = name;
    this.ipam = new Ipam(
      { name, nickname: 'self', generation, init: { type: 'seed', names }, ...this.settings },
      { random: new SeededRandom(1), stored: new Map() },
      0,
    );
    this.#carryOut();
  }

  topology(peers: readonly IpamPeer[], connecting: readonly PeerName[] = []): void {
    this.ipam.onTopology({ self: this.#name, peers, connecting }, this.now);
    this.#carryOut();
  }

  merge(entries: readonly Entry[]): void {
    this.ipam.merge(encodeEntries(entries), this.now);
    this.#carryOut();
  }

  tell(from: PeerName, message: Message): void {
    this.ipam.onUnicast(from, encodeMessage(message), this.now);
    this.#carryOut();
  }

  request(request: number, operation: IpamRequest): IpamResult | undefined {
    this.ipam.onRequest(request, operation, this.now);
    this.#carryOut();
    return this.replies.get(request);
  }

  run(forMillis: number): void {
    const end = this.now + forMillis;
    for (let at = this.ipam.nextTimeout(); at !== undefined && at <= end; at = this.ipam.nextTimeout()) {
      this.now = Math.max(this.now, at);
      this.ipam.onTimeout(this.now);
      this.#carryOut();
    }
    this.now = end;
  }

  /** The last message of this type that was sent. */
  last<T extends Message['type']>(type: T): Extract<Message, { type: T }> | undefined {
    const found = this.sent.findLast(({ message }) => message.type === type);
    return found?.message as Extract<Message, { type: T }> | undefined;
  }

  #carryOut(): void {
    for (const effect of this.ipam.drain()) {
      if (effect.type === 'unicast') this.sent.push({ to: effect.to, message: decodeMessage(effect.bytes)! });
      else if (effect.type === 'reply') this.replies.set(effect.request, effect.result);
      else if (effect.type === 'log') this.logs.push(effect.message);
      else if (effect.type === 'commit') {
        this.ipam.onCommitted(effect.token, this.now);
        this.#carryOut();
      }
    }
  }
}
