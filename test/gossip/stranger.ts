import { utf8 } from '../../core/bytes.ts';
import type { Message } from '../../gossip/messages.ts';
import { endpoint, peerName } from './mesh.ts';
import { frame } from './plain-channel.ts';

/** What the plain channel begins with. */
export const greeting = frame(utf8('{"id":1,"passwords":[]}'));

/** Of someone outside the simulation, who calls itself node `index`, a number of two digits. */
export function helloOf(index: number): Extract<Message, { type: 'hello' }> {
  return {
    type: 'hello',
    name: peerName(index),
    nickname: 'mallory',
    uid: `00112233445566${index}`,
    incarnation: 1,
    version: 'x',
    replaces: new Uint8Array(0),
    port: 6783,
    acceptsInbound: false,
    seenAt: endpoint('192.0.2.1'),
  };
}
