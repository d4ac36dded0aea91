import { formatCidr, formatIp, parseCidr, parseIp } from '../../core/address.ts';
import type { Cidr } from '../../core/address.ts';
import { pack, unpack } from '../../core/msgpack.ts';
import type { MacText } from './mac-address.ts';
import type { GatewayRoute } from './port.ts';

/** The durable memory of one attachment, or under {@link EXPOSE_ID} of the host's own addresses. */
export interface AttachmentRecord {
  readonly id: string;
  /** As the operator wrote it when it was made; empty for a lease whose namespace this daemon cannot see. */
  readonly target: string;
  readonly interface: string;
  /** Empty for the exposure. */
  readonly hostInterface: string;
  readonly mac: MacText;
  readonly addresses: readonly Cidr[];
  /** Exposure only: those of `addresses` whose subnets are masqueraded. */
  readonly masquerade: readonly Cidr[];
  /** A change is under way: addresses that are not in `addresses` may be allocated under this id. */
  readonly pending: boolean;
  /** Its routes that went when the host hid the address that was their gateway; undefined = none. */
  readonly lostRoutes?: readonly GatewayRoute[] | undefined;
}

/** The identity in IPAM of the host's own addresses. */
export const EXPOSE_ID = 'weave:expose';

/** Begins the identities of pods' interfaces, whose ports are guarded. */
export const POD_PREFIX = 'cni:';

/** Begins the identities of addresses leased to other plugins. */
export const LEASE_PREFIX = 'cni-ipam:';

/** Whether an identity is one that this daemon gives by itself; the second kind are those of namespaces. */
export function isOwnId(id: string): boolean {
  return ['weave:', 'netns:', POD_PREFIX, LEASE_PREFIX].some((prefix) => id.startsWith(prefix));
}

export const ATTACHMENT_KEY_PREFIX = 'attachments/';

export function attachmentKey(id: string): string {
  return `${ATTACHMENT_KEY_PREFIX}${id}`;
}

const FIELDS = 8;

/** [id, target, interface, host interface, MAC, addresses, masqueraded ones, pending, lost routes if any]; addresses as text; a route is [destination, gateway, metric]. */
export function encodeRecord(record: AttachmentRecord): Uint8Array {
  const { id, target, interface: interfaceName, hostInterface, mac, pending } = record;
  const [addresses, masquerade] = [record.addresses.map(formatCidr), record.masquerade.map(formatCidr)];
  const lost = record.lostRoutes === undefined ? [] : [record.lostRoutes.map(encodeRoute)];
  return pack([id, target, interfaceName, hostInterface, mac, addresses, masquerade, pending, ...lost]);
}

/** Undefined if the bytes are not those of a record. */
export function decodeRecord(bytes: Uint8Array): AttachmentRecord | undefined {
  const fields = unpack(bytes);
  if (!Array.isArray(fields) || fields.length < FIELDS || fields.length > FIELDS + 1) return undefined;
  const texts = fields.slice(0, 5).filter((field) => typeof field === 'string');
  const [id, target, interfaceName, hostInterface, mac] = texts;
  const addresses = parseCidrs(fields[5]);
  const masquerade = parseCidrs(fields[6]);
  const pending: unknown = fields[7];
  const lost: unknown = fields[FIELDS];
  const lostRoutes = Array.isArray(lost) ? lost.flatMap(decodeRoute) : [];
  if (mac === undefined || addresses === undefined || masquerade === undefined) return undefined;
  if (typeof pending !== 'boolean') return undefined;
  return {
    id: id!,
    target: target!,
    interface: interfaceName!,
    hostInterface: hostInterface!,
    mac,
    addresses,
    masquerade,
    pending,
    ...(lostRoutes.length === 0 ? {} : { lostRoutes }),
  };
}

function encodeRoute({ destination, via, metric }: GatewayRoute): unknown {
  return [formatCidr(destination), formatIp(via), metric];
}

/** A route that cannot be read is no reason to forget the attachment. */
function decodeRoute(value: unknown): GatewayRoute[] {
  const [destinationText, viaText, metric] = Array.isArray(value) ? (value as unknown[]) : [];
  if (typeof destinationText !== 'string' || typeof viaText !== 'string') return [];
  const [destination, via] = [parseCidr(destinationText), parseIp(viaText)];
  if (destination === undefined || via === undefined || typeof metric !== 'number') return [];
  return [{ destination, via, metric }];
}

function parseCidrs(value: unknown): Cidr[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const cidrs = value.map((text: unknown) => (typeof text === 'string' ? parseCidr(text) : undefined));
  return cidrs.every((cidr) => cidr !== undefined) ? cidrs : undefined;
}
