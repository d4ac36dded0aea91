import { writeFileSync } from 'node:fs';
import { protocolVectors } from './protocol-vectors.ts';

/** Writes test/vectors/protocol.json anew; run it from the package's folder, after a change that breaks the protocol. */
writeFileSync('test/vectors/protocol.json', `${JSON.stringify(await protocolVectors(), null, 2)}\n`);
