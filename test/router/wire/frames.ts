import { parseIp } from '../../../core/address.ts';
import { concatBytes, fromHex } from '../../../core/bytes.ts';
import { ipToBytes } from '../../../core/address.ts';
import { writeMac, type Mac } from '../../../router/wire/mac.ts';

/** Builders of frames for tests; header checksums are left zero, as nothing here reads them. */
export function ethernet(to: Mac, from: Mac, type: number, payload: Uint8Array, tags = 0): Uint8Array {
  const header = new Uint8Array(14 + 4 * tags);
  writeMac(to, header, 0);
  writeMac(from, header, 6);
  for (let i = 0; i < tags; i++)
    header.set(
      [i === 0 && tags === 2 ? 0x88 : 0x81, i === 0 && tags === 2 ? 0xa8 : 0, 0, 10 + i],
      12 + 4 * i,
    );
  header.set([type >> 8, type & 0xff], 12 + 4 * tags);
  return concatBytes(header, payload);
}

export interface Ipv4Fields {
  readonly from?: string;
  readonly to?: string;
  readonly protocol?: number;
  readonly df?: boolean;
  /** In units of 8 bytes. */
  readonly fragmentOffset?: number;
}

export function ipv4(payload: Uint8Array, fields: Ipv4Fields = {}): Uint8Array {
  const { from = '10.32.0.1', to = '10.32.0.2', protocol = 17, df = true, fragmentOffset = 0 } = fields;
  const header = fromHex('45000000000000004011000000000000' + '00000000')!;
  const total = 20 + payload.length;
  header.set([total >> 8, total & 0xff], 2);
  header[6] = (df ? 0x40 : 0) | (fragmentOffset >> 8);
  header[7] = fragmentOffset & 0xff;
  header[9] = protocol;
  header.set(ipToBytes(parseIp(from)!), 12);
  header.set(ipToBytes(parseIp(to)!), 16);
  return concatBytes(header, payload);
}

export interface Ipv6Fields {
  readonly from?: string;
  readonly to?: string;
  readonly next?: number;
}

export function ipv6(payload: Uint8Array, fields: Ipv6Fields = {}): Uint8Array {
  const { from = '2001:db8::1', to = '2001:db8::2', next = 17 } = fields;
  const header = new Uint8Array(40);
  header[0] = 0x60;
  header.set([payload.length >> 8, payload.length & 0xff, next, 64], 4);
  header.set(ipToBytes(parseIp(from)!), 8);
  header.set(ipToBytes(parseIp(to)!), 24);
  return concatBytes(header, payload);
}
