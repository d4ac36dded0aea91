import sodium from 'libsodium-wrappers-sumo';

/**
 * The whole libsodium, with the group of CPace: the control plane's. The data plane of the portable engine has the standard
 * build, buffer-aead.ts. It is compiled when this module has been loaded.
 */
await sodium.ready;

export { sodium };
export type { StateAddress } from 'libsodium-wrappers-sumo';
