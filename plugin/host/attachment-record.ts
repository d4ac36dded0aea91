import { pack, unpack } from 'msgpackr';
import { formatCidr, parseCidr } from '../../core/address.ts';
import type { Cidr } from '../../core/address.ts';
import type { MacText } from './mac-address.ts';

/** The durable memory of one attachment, or under {@link EXPOSE_ID} of the host's own addresses. */
export interface AttachmentRecord {
  readonly id: string;
  /** As the operator wrote it when it was made. */
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
}

/** The identity in IPAM of the host's own addresses. */
export const EXPOSE_ID = 'weave:expose';

export const ATTACHMENT_KEY_PREFIX = 'attachments/';

export function attachmentKey(id: string): string {
  return `${ATTACHMENT_KEY_PREFIX}${id}`;
}

export function encodeRecord(record: AttachmentRecord): Uint8Array {
  const { addresses, masquerade, ...rest } = record;
  return pack({ ...rest, addresses: addresses.map(formatCidr), masquerade: masquerade.map(formatCidr) });
}

/** Undefined if the bytes are not those of a record. */
export function decodeRecord(bytes: Uint8Array): AttachmentRecord | undefined {
  let value: unknown;
  try {
    value = unpack(bytes);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const texts = ['id', 'target', 'interface', 'hostInterface', 'mac'] as const;
  const addresses = parseCidrs(fields['addresses']);
  const masquerade = parseCidrs(fields['masquerade']);
  if (!texts.every((name) => typeof fields[name] === 'string')) return undefined;
  if (addresses === undefined || masquerade === undefined || typeof fields['pending'] !== 'boolean')
    return undefined;
  const [id, target, interfaceName, hostInterface, mac] = texts.map((name) => fields[name] as string);
  return {
    id: id!,
    target: target!,
    interface: interfaceName!,
    hostInterface: hostInterface!,
    mac: mac!,
    addresses,
    masquerade,
    pending: fields['pending'],
  };
}

function parseCidrs(value: unknown): Cidr[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const cidrs = value.map((text: unknown) => (typeof text === 'string' ? parseCidr(text) : undefined));
  return cidrs.every((cidr) => cidr !== undefined) ? cidrs : undefined;
}
