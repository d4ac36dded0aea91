/** One key to write, or with an undefined value to delete. */
export interface StoreChange {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

/**
 * The node's durable state: byte values under flat keys ("identity", "targets", "pins", "ipam/...", "attachments/...").
 * One daemon writes it at a time.
 */
export interface StorePort {
  /** All keys with their values, as they were when the last commit succeeded. */
  load(): ReadonlyMap<string, Uint8Array>;
  /** One transaction: all of `changes` or none; resolves when it would survive a power cut. */
  commit(changes: readonly StoreChange[]): Promise<void>;
  close(): Promise<void>;
}
