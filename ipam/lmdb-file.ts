import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/*
 * What LMDB 1.0 writes, little-endian (struct MDB_page_header, MDB_meta, MDB_db, MDB_node, MDB_ovpage of its mdb.c):
 *
 *   page:  number u64 | txn u64 | pad u16 | flags u16 | lower u16 | upper u16 | offsets of nodes u16 ...
 *   meta (pages 0 and 1): header | magic u32 | version u32 | address u64 | map size u64 | free db 48 | main db 48 |
 *          last page u64 | txn u64
 *   db:    page size u32 | flags u16 | depth u16 | branches u64 | leaves u64 | overflows u64 | entries u64 | root u64
 *   node:  low u16 | high u16 | flags u16 | key size u16 | key | data
 *   data of a large value: first page u64 | txn u64 | pages u64
 */
const HEADER = 24;
const NUMBER_AT = 0;
const FLAGS_AT = 18;
const LOWER_AT = 20;
const MAGIC_AT = 24;
const FREE_DB_AT = 48;
const FREE_ROOT_AT = 88;
const MAIN_ROOT_AT = 136;
const TXN_AT = 152;
const META_BYTES = 160;
const NODE_HEADER = 8;
const MAGIC = 0xbeefc0de;
const BRANCH = 1;
const LEAF = 2;
const BIG_DATA = 1;
const NO_ROOT = 0xffff_ffff_ffff_ffffn;
const MIN_PAGE = 512;
const MAX_PAGE = 65_536;

class Damage extends Error {}

/**
 * Why the file at `path` is no whole LMDB file, as words; undefined if it is one. LMDB maps what it opens and dies of a
 * page beyond the end, so all pages that its newest state leads to must be there. (Its last page number is no measure:
 * pages at the end that are free need not be in the file.)
 */
export function fileProblem(path: string): string | undefined {
  const file = openSync(path, 'r');
  const page = Buffer.alloc(MAX_PAGE);
  try {
    walk(new Pages(file, page));
    return undefined;
  } catch (error) {
    if (error instanceof Damage) return error.message;
    throw error;
  } finally {
    // The static key is in one of them.
    page.fill(0);
    closeSync(file);
  }
}

function walk(pages: Pages): void {
  const open = pages.roots();
  for (let seen = 0; open.length > 0; seen++) {
    if (seen > pages.count) throw new Damage('its pages lead in circles');
    open.push(...pages.below(open.pop()!));
  }
}

/** The pages of a file, one of them in memory. */
class Pages {
  readonly #file: number;
  readonly #page: Buffer;
  readonly #bytes: number;
  readonly #size: number;

  constructor(file: number, page: Buffer) {
    this.#file = file;
    this.#page = page;
    this.#bytes = fstatSync(file).size;
    if (this.#bytes === 0) throw new Damage('it is empty');
    this.#readAt(0, META_BYTES);
    this.#checkMagic();
    this.#size = page.readUInt32LE(FREE_DB_AT);
    const known = this.#size >= MIN_PAGE && this.#size <= MAX_PAGE && this.#bytes >= 2 * this.#size;
    if (!known) throw new Damage(`it ends after ${this.#bytes} bytes, before its first pages do`);
  }

  get count(): number {
    return Math.ceil(this.#bytes / this.#size);
  }

  /** Of the newest state, the one that LMDB goes on with: at most two. */
  roots(): number[] {
    const [first, second] = [this.#meta(0), this.#meta(1)];
    const { roots } = second.txn > first.txn ? second : first;
    return roots.filter((root) => root !== NO_ROOT).map(Number);
  }

  /** The pages that this one leads to. Throws {@link Damage} if it, or a large value in it, is not there. */
  below(number: number): number[] {
    this.#check(number, 1);
    this.#readAt(number * this.#size, this.#size);
    const flags = this.#page.readUInt16LE(FLAGS_AT);
    const isTree = (flags & (BRANCH | LEAF)) !== 0;
    if (!isTree || this.#page.readBigUInt64LE(NUMBER_AT) !== BigInt(number)) {
      throw new Damage(`its page ${number} holds something else`);
    }
    const nodes = this.#nodes(number);
    if ((flags & BRANCH) !== 0) return nodes.map((at) => this.#page.readUIntLE(at, 6));
    for (const at of nodes) if ((this.#page.readUInt16LE(at + 4) & BIG_DATA) !== 0) this.#checkValue(at);
    return [];
  }

  #nodes(number: number): number[] {
    const count = this.#page.readUInt16LE(LOWER_AT) >> 1;
    const out: number[] = [];
    for (let i = 0; i < count; i++) {
      const at =
        HEADER + (HEADER + 2 * i + 2 <= this.#size ? this.#page.readUInt16LE(HEADER + 2 * i) : MAX_PAGE);
      if (at + NODE_HEADER > this.#size) throw new Damage(`its page ${number} holds something else`);
      out.push(at);
    }
    return out;
  }

  /** A large value is on pages of its own. */
  #checkValue(node: number): void {
    const at = node + NODE_HEADER + this.#page.readUInt16LE(node + 6);
    if (at + 24 > this.#size) throw new Damage('one of its values has no place');
    const first = Number(this.#page.readBigUInt64LE(at));
    this.#check(first, Number(this.#page.readBigUInt64LE(at + 16)));
  }

  #meta(number: number): { readonly txn: bigint; readonly roots: readonly bigint[] } {
    this.#readAt(number * this.#size, META_BYTES);
    this.#checkMagic();
    const roots = [FREE_ROOT_AT, MAIN_ROOT_AT].map((at) => this.#page.readBigUInt64LE(at));
    return { txn: this.#page.readBigUInt64LE(TXN_AT), roots };
  }

  #checkMagic(): void {
    if (this.#page.readUInt32LE(MAGIC_AT) !== MAGIC) throw new Damage('it is not a store of weave-ts');
  }

  #check(first: number, count: number): void {
    if ((first + count) * this.#size <= this.#bytes) return;
    throw new Damage(`it ends after ${this.#bytes} bytes, and its page ${first + count - 1} is beyond that`);
  }

  #readAt(position: number, bytes: number): void {
    const read = readSync(this.#file, this.#page, 0, bytes, position);
    if (read < bytes) throw new Damage(`it ends after ${this.#bytes} bytes`);
  }
}
