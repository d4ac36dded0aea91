import {
  createCipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
} from 'node:crypto';

/**
 * Noise_IK_25519_ChaChaPoly_SHA512 written out token by token on node:crypto, without a thought for bad input: what
 * the product's own is compared with. One run plays both ends.
 */
export interface OracleInputs {
  readonly prologue: Uint8Array;
  readonly initiatorStatic: Uint8Array;
  readonly initiatorEphemeral: Uint8Array;
  readonly responderStatic: Uint8Array;
  readonly responderEphemeral: Uint8Array;
  readonly payload1: Uint8Array;
  readonly payload2: Uint8Array;
}

export interface OracleOutputs {
  readonly message1: Uint8Array;
  readonly message2: Uint8Array;
  readonly handshakeHash: Uint8Array;
  readonly fromInitiator: Uint8Array;
  readonly fromResponder: Uint8Array;
}

/** Label 15 | initiator name 6 | responder name 6 | initiator uid 8 | responder uid 8; names are six pairs of digits. */
export function linkPrologueOracle(
  initiator: { readonly name: string; readonly uid: Uint8Array },
  responder: { readonly name: string; readonly uid: Uint8Array },
): Uint8Array {
  const nameOf = (name: string): Buffer => Buffer.from(name.replaceAll(':', ''), 'hex');
  const names = [nameOf(initiator.name), nameOf(responder.name)];
  return Buffer.concat([Buffer.from('weave-ts link 1'), ...names, initiator.uid, responder.uid]);
}

/** A session, then `count` rekeys of it, each under the hash of the handshake before and the new phase. */
export function noiseIkChainOracle(
  first: OracleInputs,
  count: number,
  ephemerals: (phase: number) => readonly [initiator: Uint8Array, responder: Uint8Array],
): OracleOutputs[] {
  const none = new Uint8Array(0);
  const outputs = [noiseIkOracle(first)];
  for (let phase = 1; phase <= count; phase++) {
    const [initiatorEphemeral, responderEphemeral] = ephemerals(phase);
    const prologue = Buffer.concat([outputs.at(-1)!.handshakeHash, Uint8Array.of(phase % 256)]);
    const rekey = { ...first, prologue, initiatorEphemeral, responderEphemeral };
    outputs.push(noiseIkOracle({ ...rekey, payload1: none, payload2: none }));
  }
  return outputs;
}

export function noiseIkOracle(inputs: OracleInputs): OracleOutputs {
  let h = Buffer.alloc(64);
  h.write('Noise_IK_25519_ChaChaPoly_SHA512');
  let ck = Buffer.from(h);
  let k = Buffer.alloc(32);
  let n = 0;
  const mixHash = (data: Uint8Array): void => {
    h = sha512(Buffer.concat([h, data]));
  };
  const mixKey = (secret: Uint8Array, publicKey: Uint8Array): void => {
    [ck, k] = hkdf(ck, x25519(secret, publicKey));
    k = k.subarray(0, 32);
    n = 0;
  };
  const encryptAndHash = (plaintext: Uint8Array): Uint8Array => {
    const sealed = chachaPoly(k, n++, h, plaintext);
    mixHash(sealed);
    return sealed;
  };

  const [s, e, rs, re] = [
    inputs.initiatorStatic,
    inputs.initiatorEphemeral,
    inputs.responderStatic,
    inputs.responderEphemeral,
  ];
  mixHash(inputs.prologue);
  mixHash(publicOf(rs));
  mixHash(publicOf(e));
  mixKey(e, publicOf(rs));
  const sealedStatic = encryptAndHash(publicOf(s));
  mixKey(s, publicOf(rs));
  const message1 = Buffer.concat([publicOf(e), sealedStatic, encryptAndHash(inputs.payload1)]);
  mixHash(publicOf(re));
  mixKey(re, publicOf(e));
  mixKey(re, publicOf(s));
  const message2 = Buffer.concat([publicOf(re), encryptAndHash(inputs.payload2)]);
  const [first, second] = hkdf(ck, new Uint8Array(0));
  return {
    message1,
    message2,
    handshakeHash: h,
    fromInitiator: first.subarray(0, 32),
    fromResponder: second.subarray(0, 32),
  };
}

function sha512(data: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.from(createHash('sha512').update(data).digest());
}

function hkdf(ck: Uint8Array, input: Uint8Array): [Buffer<ArrayBuffer>, Buffer<ArrayBuffer>] {
  const hmac = (key: Uint8Array, ...data: Uint8Array[]): Buffer<ArrayBuffer> =>
    Buffer.from(createHmac('sha512', key).update(Buffer.concat(data)).digest());
  const extracted = hmac(ck, input);
  const first = hmac(extracted, Uint8Array.of(1));
  return [first, hmac(extracted, first, Uint8Array.of(2))];
}

export function chachaPoly(key: Uint8Array, n: number, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(BigInt(n), 4);
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  cipher.setAAD(ad, { plaintextLength: plaintext.length });
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

// DER headers of RFC 8410 before the 32 bytes of a key.
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI = Buffer.from('302a300506032b656e032100', 'hex');

function privateKey(secret: Uint8Array): ReturnType<typeof createPrivateKey> {
  return createPrivateKey({ key: Buffer.concat([PKCS8, secret]), format: 'der', type: 'pkcs8' });
}

export function publicOf(secret: Uint8Array): Uint8Array {
  return createPublicKey(privateKey(secret)).export({ format: 'der', type: 'spki' }).subarray(SPKI.length);
}

export function x25519(secret: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const key = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' });
  return diffieHellman({ privateKey: privateKey(secret), publicKey: key });
}
