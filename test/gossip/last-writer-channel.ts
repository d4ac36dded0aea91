import { BucketDigest } from '../../core/bucket-digest.ts';
import { MalformedDelta, type Channel, type ChannelDigest } from '../../gossip/channel.ts';

/** A channel for tests: text keys with numbers, the highest wins. Deltas are "key=number" lines. */
export class LastWriterChannel implements Channel<Uint8Array> {
  readonly values = new Map<string, number>();
  readonly #digest = new BucketDigest();
  merges = 0;

  set(key: string, value: number): Uint8Array {
    this.#put(key, value);
    return encode([[key, value]]);
  }

  merge(delta: Uint8Array): Uint8Array | undefined {
    this.merges++;
    const news = decode(delta).filter(([key, value]) => value > (this.values.get(key) ?? -1));
    for (const [key, value] of news) this.#put(key, value);
    return news.length === 0 ? undefined : encode(news);
  }

  digest(): ChannelDigest {
    return this.#digest.digest();
  }

  entriesOf(buckets: number): Uint8Array | undefined {
    const keys = this.#digest.keysIn(buckets);
    return keys.length === 0 ? undefined : encode(keys.map((key) => [key, this.values.get(key)!]));
  }

  join(deltas: readonly Uint8Array[]): Uint8Array {
    const joined = new Map<string, number>();
    for (const [key, value] of deltas.flatMap((delta) => decode(delta))) {
      joined.set(key, Math.max(value, joined.get(key) ?? -1));
    }
    return encode([...joined]);
  }

  encode(delta: Uint8Array): Uint8Array {
    return delta;
  }

  #put(key: string, value: number): void {
    this.values.set(key, value);
    this.#digest.set(key, String(value));
  }
}

function encode(pairs: readonly [string, number][]): Uint8Array {
  return new TextEncoder().encode(pairs.map(([key, value]) => `${key}=${value}`).join('\n'));
}

function decode(delta: Uint8Array): [string, number][] {
  return new TextDecoder()
    .decode(delta)
    .split('\n')
    .map((line) => {
      const [, key, value] = /^([a-z0-9]+)=(\d+)$/.exec(line) ?? [];
      if (key === undefined) throw new MalformedDelta(`line ${line}`);
      return [key, Number(value)];
    });
}
