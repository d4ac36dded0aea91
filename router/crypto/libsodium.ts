import sodium from 'libsodium-wrappers-sumo';

/** The one import of libsodium, in its full build for ristretto255. It is compiled when this module has been loaded. */
await sodium.ready;

export { sodium };
export type { StateAddress } from 'libsodium-wrappers-sumo';
