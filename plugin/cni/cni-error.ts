/** Error codes of the CNI specification (section "Error"); from 100 on they are ours. */
export const CNI_CODES = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  badEnvironment: 4,
  inputOutput: 5,
  undecodable: 6,
  badConfiguration: 7,
  /** Not in the specification, but what plugins on the official skeleton answer. */
  badNamespace: 8,
  tryLater: 11,
  unavailable: 50,
  /** As 50, and pods that are there already may be limited. */
  limited: 51,
  /** The daemon could not do it, for a reason that it names. */
  failed: 100,
  interfaceExists: 101,
  addressTaken: 102,
  /** CHECK found something missing or changed. */
  notAsMade: 103,
} as const;

export type CniCode = (typeof CNI_CODES)[keyof typeof CNI_CODES];

/** A refusal as the runtime gets it: a code, what was wrong with which value, and what to do. */
export class CniError extends Error {
  override name = 'CniError';
  readonly code: CniCode;
  readonly details: string;

  constructor(code: CniCode, message: string, details = '') {
    super(message);
    this.code = code;
    this.details = details;
  }
}
