import { createHash, createHmac } from 'node:crypto';

/**
 * What a control connection derives from the element K that both ends of CPace share: written out from the description
 * of the protocol on node:crypto. The group itself is held against the draft's vectors.
 */
export interface CpaceOracleInputs {
  /** 44 bytes each, nonce in the last 32. */
  readonly preambleA: Uint8Array;
  readonly preambleB: Uint8Array;
  /** Position of B's password. */
  readonly index: number;
  readonly elementA: Uint8Array;
  readonly elementB: Uint8Array;
}

export interface CpaceOracleOutputs {
  readonly sid: Uint8Array;
  readonly tagA: Uint8Array;
  readonly tagB: Uint8Array;
  readonly streamAToB: Uint8Array;
  readonly streamBToA: Uint8Array;
}

export function cpaceSid({ preambleA, preambleB }: CpaceOracleInputs): Uint8Array {
  return sha512(preambleA.subarray(12), preambleB.subarray(12));
}

/** ISK of a control connection. */
export function cpaceIsk(shared: Uint8Array, inputs: CpaceOracleInputs): Uint8Array {
  const { elementA, elementB, preambleA } = inputs;
  return iskOf(shared, cpaceSid(inputs), elementA, preambleA, elementB, dataB(inputs));
}

/** ISK of the draft, in its initiator-responder setting. */
export function iskOf(
  shared: Uint8Array,
  sid: Uint8Array,
  elementA: Uint8Array,
  dataA: Uint8Array,
  elementB: Uint8Array,
  dataB: Uint8Array,
): Uint8Array {
  const label = Buffer.from('CPaceRistretto255_ISK');
  return sha512(...[label, sid, shared, elementA, dataA, elementB, dataB].map(lv));
}

export function cpaceKeys(isk: Uint8Array, inputs: CpaceOracleInputs): CpaceOracleOutputs {
  const { elementA, elementB, preambleA } = inputs;
  const sid = cpaceSid(inputs);
  const macKey = sha512(Buffer.from('CPaceMac'), sid, isk);
  const tag = (element: Uint8Array, data: Uint8Array): Uint8Array =>
    createHmac('sha512', macKey).update(lv(element)).update(lv(data)).digest();
  return {
    sid,
    tagA: tag(elementA, preambleA),
    tagB: tag(elementB, dataB(inputs)),
    streamAToB: sha512(Buffer.from('weave-ts a>b'), isk).subarray(0, 32),
    streamBToA: sha512(Buffer.from('weave-ts b>a'), isk).subarray(0, 32),
  };
}

function dataB({ preambleB, index }: CpaceOracleInputs): Uint8Array {
  return Uint8Array.of(...preambleB, index);
}

/** A part after its length in LEB128; all parts here are shorter than 128 bytes. */
function lv(part: Uint8Array): Uint8Array {
  return Uint8Array.of(part.length, ...part);
}

function sha512(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(createHash('sha512').update(Buffer.concat(parts)).digest());
}
