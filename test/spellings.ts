/** The ways in which 32 secret bytes might be written into text. */
export function spellings(secret: Uint8Array): string[] {
  const bytes = Buffer.from(secret);
  const hex = bytes.toString('hex');
  // What depends on the position of the bytes in a longer base64 text is left out.
  const base64 = [0, 1, 2].map((skip) => bytes.subarray(skip, skip + 27).toString('base64'));
  return [
    hex,
    hex.toUpperCase(),
    ...base64,
    bytes.toString('base64url').slice(0, 36),
    [...bytes].join(),
    JSON.stringify([...bytes]),
    bytes.toString('latin1'),
  ];
}
