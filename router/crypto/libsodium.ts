import sodium from 'libsodium-wrappers';

/** The one import of libsodium, but for the group of CPace: ristretto.ts. It is compiled when this module has been loaded. */
await sodium.ready;

export { sodium };
export type { StateAddress } from 'libsodium-wrappers';
