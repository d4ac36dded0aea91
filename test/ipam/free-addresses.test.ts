import test from 'ava';
import fc from 'fast-check';
import { parseCidr } from '../../core/address.ts';
import { Allocations } from '../../ipam/allocations.ts';
import { FreeAddresses } from '../../ipam/free-addresses.ts';
import { lowestFree } from '../../ipam/free-space.ts';
import type { Span } from '../../ipam/range.ts';
import { AddressRange, spanSize, spansOf } from '../../ipam/range.ts';

const MINUTE = 60_000;

/** Counts how often somebody asks who holds an address. */
class CountedAllocations extends Allocations {
  lookups = 0;

  override holderOf(offset: number): string | undefined {
    this.lookups++;
    return super.holderOf(offset);
  }
}

class Node {
  readonly range: AddressRange;
  readonly allocations: CountedAllocations;
  readonly free: FreeAddresses;

  constructor(range: string) {
    this.range = new AddressRange(parseCidr(range)!);
    this.allocations = new CountedAllocations(this.range, []);
    this.free = new FreeAddresses(this.allocations);
    this.free.use([{ start: 0, end: this.range.size }]);
  }

  hand(offset: number): void {
    if (this.allocations.holderOf(offset) !== undefined) return;
    this.free.onTaken(offset);
    this.allocations.add(`id${offset}`, { ip: this.range.ipAt(offset), prefix: this.range.network.prefix });
  }

  release(offset: number, now: number): void {
    const removed = this.allocations.remove(`id${offset}`, undefined, now);
    for (const released of removed?.released ?? []) this.free.onReleased(released);
  }

  /** Looks at every address. */
  lowestOfAll(subnet: Span, now: number): number | undefined {
    const held = (offset: number): boolean => this.allocations.holderOf(offset) !== undefined;
    const rested = (offset: number): boolean => held(offset) || this.allocations.isResting(offset, now);
    return lowestFree(this.free.usable, subnet, rested) ?? lowestFree(this.free.usable, subnet, held);
  }
}

const SUBNETS: readonly Span[] = [
  { start: 0, end: 32 },
  { start: 8, end: 16 },
  { start: 28, end: 32 },
];

type Action = readonly [
  kind: 'take' | 'hand' | 'release' | 'wait' | 'use',
  n: number,
  list: readonly number[],
];

const action: fc.Arbitrary<Action> = fc.tuple(
  fc.constantFrom('take', 'take', 'take', 'hand', 'release', 'release', 'wait', 'use'),
  fc.nat(31),
  fc.uniqueArray(fc.nat(31), { minLength: 8 }),
);

test('the lowest free address and their number are those that looking at all of them finds', (t) => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const node = new Node('10.32.0.0/27');
      let now = 0;
      for (const [kind, n, list] of actions) {
        if (kind === 'wait') now += n * MINUTE;
        else if (kind === 'use') node.free.use(spansOf(list));
        else if (kind === 'release') node.release(n, now);
        else if (kind === 'hand') node.hand(n);
        else {
          const subnet = SUBNETS[n % SUBNETS.length]!;
          const expected = node.lowestOfAll(subnet, now);
          t.is(node.free.lowest(subnet, now), expected);
          if (expected !== undefined) node.hand(expected);
        }
        t.is(node.free.count, spanSize(node.free.usable) - node.allocations.countIn(node.free.usable));
      }
    }),
    { numRuns: 300 },
  );
  t.pass();
});

test('filling a subnet looks at each of its addresses a few times, and a full one is not looked through again', (t) => {
  const node = new Node('10.32.0.0/22');
  const subnet = { start: 0, end: 1_024 };
  for (let offset = node.free.lowest(subnet, 0); offset !== undefined; offset = node.free.lowest(subnet, 0)) {
    node.hand(offset);
  }
  t.is(node.free.count, 2);
  t.true(node.allocations.lookups < 4 * 1_024, `${node.allocations.lookups} lookups`);
  const before = node.allocations.lookups;
  for (let i = 0; i < 1_000; i++) t.is(node.free.lowest(subnet, 0), undefined);
  t.is(node.allocations.lookups, before);
  node.release(7, 0);
  t.is(node.free.lowest(subnet, 0), 7);
});

test('an address is the lowest again once it has rested, although the search had passed it', (t) => {
  const node = new Node('10.32.0.0/27');
  const subnet = SUBNETS[0]!;
  for (let i = 0; i < 5; i++) node.hand(node.free.lowest(subnet, 0)!);
  node.release(2, 0);
  t.is(node.free.lowest(subnet, 5 * MINUTE - 1), 6);
  t.is(node.free.lowest(subnet, 5 * MINUTE), 2);
});
