import type { Log } from '../../core/log.ts';
import { compareNames } from '../../core/peer-name.ts';
import type { StorePort } from '../../core/store.ts';
import { ATTACHMENT_KEY_PREFIX, attachmentKey, decodeRecord, encodeRecord } from './attachment-record.ts';
import type { AttachmentRecord } from './attachment-record.ts';

/** The attachment records in memory, each change durable before it is visible but for {@link begin}. */
export class RecordBook {
  readonly #store: StorePort;
  readonly #records = new Map<string, AttachmentRecord>();

  constructor(store: StorePort, log: Log) {
    this.#store = store;
    for (const [key, value] of store.load()) {
      if (!key.startsWith(ATTACHMENT_KEY_PREFIX)) continue;
      const record = decodeRecord(value);
      if (record !== undefined && attachmentKey(record.id) === key) this.#records.set(record.id, record);
      else log.log('warn', 'an attachment in the store is unreadable and is passed over', { key });
    }
  }

  get(id: string): AttachmentRecord | undefined {
    return this.#records.get(id);
  }

  /** In order of id. */
  all(): AttachmentRecord[] {
    return [...this.#records.values()].sort((a, b) => compareNames(a.id, b.id));
  }

  /** Visible at once, so that nobody takes for a leak what is under way; resolves when it is durable. */
  async begin(record: AttachmentRecord): Promise<void> {
    const before = this.#records.get(record.id);
    this.#records.set(record.id, record);
    try {
      await this.put(record);
    } catch (error) {
      if (before === undefined) this.#records.delete(record.id);
      else this.#records.set(record.id, before);
      throw error;
    }
  }

  async put(record: AttachmentRecord): Promise<void> {
    await this.#store.commit([{ key: attachmentKey(record.id), value: encodeRecord(record) }]);
    this.#records.set(record.id, record);
  }

  async delete(id: string): Promise<void> {
    await this.#store.commit([{ key: attachmentKey(id), value: undefined }]);
    this.#records.delete(id);
  }

  /** Back to what it was before a change that failed. */
  async restore(id: string, before: AttachmentRecord | undefined): Promise<void> {
    await (before === undefined ? this.delete(id) : this.put(before));
  }
}
