import { join } from 'node:path';
import { formatIp } from '../../core/address.ts';
import { openLmdbStore } from '../../ipam/lmdb-store.ts';
import { readStored } from '../../ipam/stored-state.ts';
import { callApi } from '../../router/api/client.ts';
import { Lab, type LabHost } from '../../scripts/lab.ts';
import { sleep } from '../../scripts/run.ts';

const CLIENTS = 20;
/** Half of it is the victim's at first, which is less than what it hands out in some lives: grants come in between. */
const RANGE = '10.32.0.0/22';
const NAMES = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as const;
const ADDRESSES_PER_CLIENT = 35;
const SHORTEST_LIFE_MS = 100;
const LIVES_DIFFER_BY_MS = 1_500;

export interface KillRun {
  readonly kills: number;
  /** Requests that were answered. */
  readonly answered: number;
  /** Requests that were under way at a kill. */
  readonly unanswered: number;
  /** From the launch to the answer to it, and to the first allocation. */
  readonly launchMs: readonly number[];
  readonly firstAnswerMs: readonly number[];
  /** Broken promises. */
  readonly faults: readonly string[];
}

/**
 * Kills a real daemon `kills` times at moments that nobody chose, while 20 clients allocate and release through its
 * socket and a second daemon donates. After each kill, what is on disk must hold all that was answered, nothing twice;
 * after the restart, each id asked again gets the address that it had.
 */
export async function killRun(
  prefix: string,
  kills: number,
  onKill: (done: number) => void,
): Promise<KillRun> {
  const lab = await Lab.create(prefix, 2);
  try {
    const run = new Run(lab);
    await run.play(kills, onKill);
    return run;
  } finally {
    await lab.remove();
  }
}

class Run implements KillRun {
  kills = 0;
  answered = 0;
  unanswered = 0;
  readonly launchMs: number[] = [];
  readonly firstAnswerMs: number[] = [];
  readonly faults: string[] = [];
  readonly #victim: LabHost;
  readonly #donor: LabHost;
  /** Id to address, as answered. */
  readonly #promised = new Map<string, string>();
  /** Ids whose release was asked for and not answered: held or not. */
  readonly #released = new Set<string>();
  #stopping = false;
  #next = 0;

  constructor(lab: Lab) {
    [this.#victim, this.#donor] = [lab.hosts[0]!, lab.hosts[1]!];
  }

  async play(kills: number, onKill: (done: number) => void): Promise<void> {
    await this.#launch(this.#donor, NAMES[1]);
    await this.#launch(this.#victim, NAMES[0], this.#donor.address);
    while (this.kills < kills && this.faults.length === 0) {
      await this.#killUnderLoad();
      onKill(++this.kills);
      await this.#checkStore();
      const began = performance.now();
      await this.#launch(this.#victim, NAMES[0], this.#donor.address);
      this.launchMs.push(performance.now() - began);
      await this.#checkAnswers();
      this.firstAnswerMs.push(performance.now() - began);
    }
  }

  async #launch(host: LabHost, name: string, ...peers: string[]): Promise<void> {
    const init = `seed=${NAMES.join(',')}`;
    await host.launch(['--name', name, '--ipalloc-range', RANGE, '--ipalloc-init', init, ...peers]);
  }

  async #killUnderLoad(): Promise<void> {
    this.#stopping = false;
    const clients = Array.from({ length: CLIENTS }, () => this.#client());
    await sleep(SHORTEST_LIFE_MS + Math.random() * LIVES_DIFFER_BY_MS);
    this.#stopping = true;
    await this.#victim.kill();
    await Promise.all(clients);
  }

  /** Allocates and releases until the daemon is gone. */
  async #client(): Promise<void> {
    const own: string[] = [];
    try {
      while (!this.#stopping) {
        if (own.length >= ADDRESSES_PER_CLIENT || Math.random() < 0.3) await this.#release(own.shift());
        else own.push(await this.#allocate(`id-${++this.#next}`));
      }
    } catch (error) {
      if (!this.#stopping) this.faults.push(`a request failed: ${String(error)}`);
      this.unanswered++;
    }
  }

  async #allocate(id: string): Promise<string> {
    const { addresses } = (await callApi(this.#victim.socket, 'POST', '/allocate', { id })) as {
      addresses: string[];
    };
    this.answered++;
    const address = addresses[0]!.split('/')[0]!;
    this.#promised.set(id, address);
    return id;
  }

  async #release(id: string | undefined): Promise<void> {
    if (id === undefined) return;
    this.#promised.delete(id);
    this.#released.add(id);
    await callApi(this.#victim.socket, 'POST', '/release', { id });
    this.#released.delete(id);
    this.answered++;
  }

  /** What survived the kill holds every promise, and nothing twice. */
  async #checkStore(): Promise<void> {
    const holders = new Map<string, string>();
    const store = openLmdbStore(join(this.#victim.dir, 'state'));
    const { allocations } = readStored(store.load());
    await store.close();
    for (const { id, addresses } of allocations) {
      for (const { ip } of addresses) {
        const address = formatIp(ip);
        const other = holders.get(address);
        if (other !== undefined) this.faults.push(`${address} is stored for ${other} and for ${id}`);
        holders.set(address, id);
      }
    }
    for (const [id, address] of this.#promised) {
      if (holders.get(address) !== id)
        this.faults.push(`${address} was answered to ${id} and is not stored for it`);
    }
  }

  /** Ids get what they had; what they no longer want is released, so that the next life has room. */
  async #checkAnswers(): Promise<void> {
    const ids = [...this.#promised.keys()];
    const given = new Map<string, string>();
    const worker = async (): Promise<void> => {
      for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
        const had = this.#promised.get(id)!;
        await this.#allocate(id);
        const has = this.#promised.get(id)!;
        if (has !== had) this.faults.push(`${id} had ${had} and now has ${has}`);
        const other = given.get(has);
        if (other !== undefined) this.faults.push(`${has} is held by ${other} and by ${id}`);
        given.set(has, id);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, worker));
    const unwanted = [...this.#released, ...[...this.#promised.keys()].slice(100)];
    for (const id of unwanted) await this.#release(id);
  }
}
