import test from 'ava';
import type { ExecutionContext } from 'ava';
import { formatIp } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { randomBelow, randomFraction, SeededRandom } from '../../core/random.ts';
import type { InitMode } from '../../ipam/init-mode.ts';
import type { IpamSettings } from '../../ipam/settings.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import { isComplete } from '../../ipam/ring.ts';
import { readStored } from '../../ipam/stored-state.ts';
import { Network, peer } from './network.ts';

const SEEDS = 25;
const STEPS = 120;
const PEERS = [peer(1), peer(2), peer(3), peer(4)];

/** What was promised to askers: address -> who holds it. */
class Model {
  readonly network: Network;
  readonly held = new Map<string, { name: PeerName; id: string }>();
  readonly #random: SeededRandom;
  readonly #open = new Map<number, { name: PeerName; id: string; release: boolean }>();
  /** Ids whose last request got no answer because their peer crashed: they may hold an address or not. */
  readonly #unknown = new Set<string>();
  #next = 1;

  constructor(seed: number, init: InitMode) {
    this.#random = new SeededRandom(seed + 1_000);
    this.network = new Network(parseIpamSettings('10.32.0.0/26', undefined) as IpamSettings, seed, {
      loss: 0.1,
      duplication: 0.1,
      delay: 300,
    });
    this.network.crashAtCommit = () => {
      const dice = randomFraction(this.#random);
      return dice < 0.04 ? 'before' : dice < 0.06 ? 'after' : undefined;
    };
    for (const name of PEERS) this.network.add(name, init);
  }

  step(): void {
    const name = this.#anyPeer();
    const dice = randomFraction(this.#random);
    const id = `${name}-${randomBelow(this.#random, 24)}`;
    if (this.network.nodes.get(name)!.ipam === undefined) {
      if (dice < 0.5) this.network.start(name);
    } else if (dice < 0.6) this.allocate(name, id);
    else if (dice < 0.85) this.#release(name, id);
    else if (dice < 0.88) this.network.crash(name);
    else if (dice < 0.94) this.network.setCut(name, this.#anyPeer(), dice < 0.91);
    // Often several things happen during one commit.
    if (dice < 0.9) this.run(randomBelow(this.#random, randomFraction(this.#random) < 0.5 ? 50 : 3_000));
  }

  allocate(name: PeerName, id: string): void {
    this.#ask(name, id, false);
  }

  run(millis: number): void {
    this.network.run(millis);
    for (const [request, { name, id, release }] of this.#open) {
      if (this.network.nodes.get(name)!.ipam === undefined) {
        this.#open.delete(request);
        this.#unknown.add(id);
      }
      const reply = this.network.reply(name, request);
      if (reply === undefined) continue;
      this.#open.delete(request);
      this.#note(name, id, release, reply);
    }
  }

  /** Every address is durably held at most once, and whoever was promised one has it. */
  check(t: ExecutionContext, where: string): void {
    const stored = new Map<string, string>();
    for (const { name, store } of this.network.nodes.values()) {
      for (const { id, addresses } of readStored(store).allocations) {
        for (const { ip } of addresses) {
          const text = formatIp(ip);
          if (stored.has(text))
            t.fail(`${where}: ${text} is held by ${stored.get(text)!} and ${id} on ${name}`);
          stored.set(text, id);
        }
      }
    }
    for (const [address, { id }] of this.held) {
      if (stored.get(address) !== id) t.fail(`${where}: ${address} was promised to ${id} and is not its own`);
    }
  }

  startAll(): void {
    for (const [name, { ipam }] of this.network.nodes) if (ipam === undefined) this.network.start(name);
  }

  #anyPeer(): PeerName {
    return PEERS[randomBelow(this.#random, PEERS.length)]!;
  }

  #release(name: PeerName, id: string): void {
    this.#ask(name, id, true);
  }

  #ask(name: PeerName, id: string, release: boolean): void {
    if ([...this.#open.values()].some((open) => open.id === id)) return;
    const request = this.#next++;
    // Until the answer is there, a release may have happened or not.
    if (release) this.#drop(id);
    this.#open.set(request, { name, id, release });
    this.network.request(name, request, { type: release ? 'release' : 'allocate', id });
  }

  #note(name: PeerName, id: string, release: boolean, reply: string): void {
    if (release || reply.startsWith('error')) return;
    this.held.set(reply.split('/')[0]!, { name, id });
    this.#unknown.delete(id);
  }

  #drop(id: string): void {
    for (const [address, holder] of this.held) if (holder.id === id) this.held.delete(address);
  }
}

for (const [what, init] of [
  ['consensus', { type: 'consensus', voters: PEERS.length }],
  ['seed', { type: 'seed', names: PEERS }],
] as const) {
  test(`after ${what}, no address is handed out twice or lost, whatever the network and crashes do`, (t) => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const model = new Model(seed, init);
      for (let step = 0; step < STEPS; step++) {
        model.step();
        model.check(t, `seed ${seed}, step ${step}`);
      }
      endWithEverythingHandedOut(t, model, `seed ${seed}`);
    }
    t.pass();
  });
}

function endWithEverythingHandedOut(t: ExecutionContext, model: Model, where: string): void {
  const { network } = model;
  network.crashAtCommit = () => undefined;
  network.faults = { loss: 0, duplication: 0, delay: 10 };
  for (const a of PEERS) for (const b of PEERS) network.setCut(a, b, false);
  model.startAll();
  model.run(120_000);
  for (let i = 0; i < 62; i++) {
    model.allocate(PEERS[i % PEERS.length]!, `last-${i}`);
    model.run(100);
  }
  model.run(120_000);
  model.check(t, where);
  const active = [...network.nodes.values()].reduce((sum, { ipam }) => sum + ipam!.status().active, 0);
  t.is(active, 62, `${where}: all usable addresses are in use`);
  for (const { name, ipam } of network.nodes.values()) {
    const { status, conflicts, owned } = ipam!.status();
    t.is(status, 'exhausted', `${where}: ${name}`);
    t.deepEqual(conflicts, [], where);
    t.is(
      owned.reduce((sum, { addresses }) => sum + addresses, 0),
      64,
      where,
    );
    const ring = readStored(network.nodes.get(name)!.store).ring!.ring;
    t.true(isComplete(ring, 64), where);
    t.deepEqual(ring, readStored(network.nodes.get(PEERS[0]!)!.store).ring!.ring, where);
  }
}
