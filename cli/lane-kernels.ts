/** The first Linux whose receive offload keeps datagrams of different hop limits apart over IPv4, too. */
const FIRST_RELEASE = [6, 9] as const;

/**
 * What an operator is to be told of so many workers on a kernel (`release` as of uname -r), undefined = nothing: see ADR
 * 14. Branches of older kernels may have the fix; that cannot be told from here.
 */
export function laneWarning(workers: number, release: string): string | undefined {
  const [major, minor] = release.split('.').map((part) => Number.parseInt(part, 10));
  if (workers === 1 || major === undefined || minor === undefined) return undefined;
  const [firstMajor, firstMinor] = FIRST_RELEASE;
  if (!(major < firstMajor || (major === firstMajor && minor < firstMinor))) return undefined;
  return (
    `Linux ${release} may join datagrams of several workers over IPv4, which loses some: ` +
    `take --workers 1, or Linux ${firstMajor}.${firstMinor} or later`
  );
}
