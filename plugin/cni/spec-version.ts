import { CNI_CODES, CniError } from './cni-error.ts';

/** Versions of the CNI specification whose results we can give, oldest first. */
export const SUPPORTED_VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

export type SpecVersion = (typeof SUPPORTED_VERSIONS)[number];

export const NEWEST_VERSION: SpecVersion = '1.1.0';

export function isSupported(version: string): version is SpecVersion {
  return SUPPORTED_VERSIONS.some((supported) => supported === version);
}

/** A configuration without a version is one of 0.1.0, as the specification has it. Throws {@link CniError} 1. */
export function specVersion(text: string | undefined): SpecVersion {
  const version = text ?? '0.1.0';
  if (isSupported(version)) return version;
  const said =
    text === undefined ? 'the configuration has no cniVersion, which means 0.1.0' : `cniVersion ${text}`;
  throw new CniError(
    CNI_CODES.incompatibleVersion,
    `${said}: this plugin speaks ${SUPPORTED_VERSIONS.join(', ')}`,
  );
}

export function isAtLeast(version: SpecVersion, least: SpecVersion): boolean {
  return SUPPORTED_VERSIONS.indexOf(version) >= SUPPORTED_VERSIONS.indexOf(least);
}
