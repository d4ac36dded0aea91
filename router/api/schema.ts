/** JSON schemas of the API's requests. Anything beyond them is refused, so that a misspelt key is never silence. */

const text = { type: 'string', minLength: 1, maxLength: 4_096 } as const;
const texts = { type: 'array', items: text, maxItems: 1_024 } as const;

function closedObject<P extends Record<string, unknown>>(
  properties: P,
  required: readonly (keyof P & string)[],
) {
  return { type: 'object', properties, required, additionalProperties: false } as const;
}

export const stopBody = closedObject({ clean: { type: 'boolean' } }, []);
export const connectBody = closedObject({ peers: texts, replace: { type: 'boolean' } }, ['peers']);
export const forgetBody = closedObject({ peers: texts }, ['peers']);
export const rekeyBody = closedObject({ peer: text }, []);
export const attachBody = closedObject(
  {
    target: text,
    addresses: texts,
    interface: { ...text, maxLength: 15 },
    defaultRoute: { type: 'boolean' },
  },
  ['target'],
);
export const detachBody = closedObject({ target: text, addresses: texts }, ['target']);
export const exposeBody = closedObject({ addresses: texts, masquerade: { type: 'boolean' } }, []);
export const hideBody = closedObject({ addresses: texts }, []);
export const allocateBody = closedObject({ id: text, subnet: text }, ['id']);
export const claimBody = closedObject({ id: text, cidr: text }, ['id', 'cidr']);
export const releaseBody = closedObject({ id: text, cidr: text }, ['id']);
export const cniInstallBody = closedObject({ binDir: text, confDir: text, cniVersion: text }, [
  'binDir',
  'confDir',
  'cniVersion',
]);
export const removePeersBody = closedObject(
  { peers: { ...texts, minItems: 1 }, now: { type: 'boolean' }, strict: { type: 'boolean' } },
  ['peers'],
);
export const resetBody = closedObject({ force: { type: 'boolean' } }, []);
