import { flag, optional, text, texts } from './fields.ts';

/** The bodies of the API's requests. Anything beyond them is refused, so that a misspelt key is never silence. */

export const stopBody = { clean: optional(flag) };
export const connectBody = { peers: texts(), replace: optional(flag) };
export const forgetBody = { peers: texts() };
export const rekeyBody = { peer: optional(text()) };
export const attachBody = {
  target: text(),
  addresses: optional(texts()),
  interface: optional(text()),
  defaultRoute: optional(flag),
};
export const detachBody = { target: text(), addresses: optional(texts()) };
export const exposeBody = { addresses: optional(texts()), masquerade: optional(flag) };
export const hideBody = { addresses: optional(texts()) };
export const allocateBody = { id: text(), subnet: optional(text()) };
export const claimBody = { id: text(), cidr: text() };
export const releaseBody = { id: text(), cidr: optional(text()) };
export const cniInstallBody = { binDir: text(), confDir: text(), cniVersion: text() };
export const removePeersBody = { peers: texts(1), now: optional(flag), strict: optional(flag) };
export const resetBody = { force: optional(flag) };
