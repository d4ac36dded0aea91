import type { Cidr } from '../core/address.ts';
import { formatCidr, formatIp, networkOf } from '../core/address.ts';
import type { Millis } from '../core/time.ts';
import type { AddressRequest, Granted, IpamResult } from './effects.ts';
import type { MemberEntry } from './entries.ts';
import type { Holdings } from './holdings.ts';
import type { Span } from './range.ts';
import { spansHave } from './range.ts';
import { subnetProblem } from './settings.ts';

/** Space that others have to give. */
export interface Need {
  readonly span: Span;
  /** The span is the one address that is wanted. */
  readonly exact: boolean;
}

/** How far a request gets with what this peer has at the moment. */
type Attempt =
  | {
      readonly type: 'answered';
      readonly result: IpamResult;
      /** What the id did not hold before. */
      readonly granted?: Granted | undefined;
    }
  /** Until there is a ring and it is known to be recent, or for what `why` says. */
  | { readonly type: 'waits'; readonly why?: string }
  | { readonly type: 'needs'; readonly need: Need };

export interface AttemptContext {
  readonly holdings: Holdings;
  readonly defaultSubnet: Cidr;
  /** Members that use addresses which they do not own. */
  readonly users: readonly MemberEntry[];
  /** May space be given out? False before there is a ring, and just after a start. */
  readonly ready: boolean;
}

/** Characters of an id. */
export const MAX_ID_LENGTH = 256;

/** Does what can be done of `request` now. Repeating it changes nothing more. */
export function attempt(request: AddressRequest, context: AttemptContext, now: Millis): Attempt {
  const { holdings } = context;
  if ('id' in request) {
    const problem = idProblem(request.id);
    if (problem !== undefined) return failed(problem);
  }
  switch (request.type) {
    case 'allocate':
      return allocate(request.id, request.subnet ?? context.defaultSubnet, context, now);
    case 'claim':
      return claim(request.id, request.cidr, context);
    case 'release':
      holdings.release(request.id, request.address, now);
      return { type: 'answered', result: { type: 'done' } };
    case 'prime':
      return context.ready ? { type: 'answered', result: { type: 'done' } } : { type: 'waits' };
    case 'lookup':
      return granted(...holdings.allocations.addressesOf(request.id));
    case 'list':
      return { type: 'answered', result: { type: 'allocations', allocations: holdings.allocations.list() } };
  }
}

function allocate(id: string, subnet: Cidr, context: AttemptContext, now: Millis): Attempt {
  const { holdings } = context;
  const problem = subnetProblem(subnet, holdings.range);
  if (problem !== undefined) return failed(problem);
  const held = holdings.allocations.find(id, subnet);
  if (held !== undefined) return granted(held);
  if (!context.ready) return { type: 'waits' };
  const taken = holdings.take(id, subnet, now);
  if (taken !== undefined) return newlyGranted(id, taken);
  return { type: 'needs', need: { span: holdings.range.spanOf(subnet)!, exact: false } };
}

function claim(id: string, cidr: Cidr, context: AttemptContext): Attempt {
  const { holdings } = context;
  const offset = holdings.range.offsetOf(cidr.ip);
  if (offset === undefined) return markAndGrant(id, cidr, holdings);
  const problem = claimProblem(cidr, offset, holdings);
  if (problem !== undefined) return failed(problem);
  const holder = holdings.allocations.holderOf(offset);
  if (holder !== undefined && holder !== id) {
    return failed(`${formatIp(cidr.ip)} is in use by "${holder}" on this node`);
  }
  if (holder === id) return markAgain(id, cidr, holdings);
  if (!context.ready) return { type: 'waits' };
  if (holdings.owns(offset)) return claimOwn(id, cidr, offset, context);
  return { type: 'needs', need: { span: { start: offset, end: offset + 1 }, exact: true } };
}

/** An own address may be in use by a peer that lost it to this one, or in quarantine, which is waited for. */
function claimOwn(id: string, cidr: Cidr, offset: number, { holdings, users }: AttemptContext): Attempt {
  const user = users.find(({ conflicts }) => spansHave(conflicts, offset));
  if (user !== undefined) {
    return failed(
      `${formatIp(cidr.ip)} is in use on ${user.nickname} (${user.name}), which lost it to this node`,
    );
  }
  if (!holdings.isBlocked(offset)) return markAndGrant(id, cidr, holdings);
  return { type: 'waits', why: `${formatIp(cidr.ip)} is in quarantine: see status ipam` };
}

function claimProblem(cidr: Cidr, offset: number, holdings: Holdings): string | undefined {
  const subnet = { ip: networkOf(cidr), prefix: cidr.prefix };
  const problem = subnetProblem(subnet, holdings.range);
  if (problem !== undefined) return problem;
  const span = holdings.range.spanOf(subnet)!;
  if (offset !== span.start && offset !== span.end - 1) return undefined;
  return `${formatCidr(cidr)} is the first or last address of its subnet, which is never handed out`;
}

function markAndGrant(id: string, cidr: Cidr, holdings: Holdings): Attempt {
  const recorded = holdings.allocations.addressesOf(id).some((held) => formatCidr(held) === formatCidr(cidr));
  if (recorded) return granted(cidr);
  holdings.mark(id, cidr);
  return newlyGranted(id, cidr);
}

/** The id has the address already, perhaps for another subnet: it keeps it whatever becomes of this request. */
function markAgain(id: string, cidr: Cidr, holdings: Holdings): Attempt {
  markAndGrant(id, cidr, holdings);
  return granted(cidr);
}

function idProblem(id: string): string | undefined {
  // Control characters would make keys of the store and lines of the output ambiguous.
  const plain = id.length > 0 && id.length <= MAX_ID_LENGTH && !/\p{Cc}/u.test(id);
  return plain ? undefined : `an id is 1 to ${MAX_ID_LENGTH} characters, none of them a control character`;
}

function granted(...addresses: readonly Cidr[]): Attempt {
  return { type: 'answered', result: { type: 'addresses', addresses } };
}

function newlyGranted(id: string, cidr: Cidr): Attempt {
  const result = { type: 'addresses', addresses: [cidr] } as const;
  return { type: 'answered', result, granted: { id, address: cidr.ip } };
}

function failed(error: string): Attempt {
  return { type: 'answered', result: { type: 'failed', error } };
}
