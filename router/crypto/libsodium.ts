import sodium from 'libsodium-wrappers-sumo';

/**
 * The whole libsodium, with the group of CPace: the control plane's. The data plane of the portable engine has the standard
 * build, buffer-aead.ts. Of use once `sodium.ready` has resolved: {@link loadSodium}.
 */
export { sodium };
export type { StateAddress } from 'libsodium-wrappers-sumo';
