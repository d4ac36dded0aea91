/**
 * The one's complement sum of RFC 1071 over `length` bytes at `at`, added to `sum`; an odd last byte is padded with
 * zero, so only the last piece may be odd. At most 64 KiB in all.
 */
export function onesSum(data: Uint8Array, at: number, length: number, sum = 0): number {
  const even = at + (length & ~1);
  let total = sum;
  for (let i = at; i < even; i += 2) total += (data[i]! << 8) | data[i + 1]!;
  if ((length & 1) === 1) total += data[even]! << 8;
  return total;
}

/** The checksum that belongs into the header: folded and inverted. */
export function foldChecksum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}
