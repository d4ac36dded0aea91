import type { PeerName } from '../../core/peer-name.ts';
import type { LinkState, ToControl } from '../node-messages.ts';

type LogLine = Extract<ToControl, { type: 'log' }>;
type Path = 'direct' | 'relay';

/** What a link is like when its state may have changed. */
export interface LinkLook {
  readonly state: LinkState;
  readonly path: Path;
  readonly hasSession: boolean;
}

/** Tells operators when frames can pass over a link, how, and when they can no more: each change once. */
export class LinkLog {
  readonly #peer: PeerName;
  #said: Path | 'down' | undefined;

  constructor(peer: PeerName) {
    this.#peer = peer;
  }

  /** The line that is due, if one is. */
  lineFor({ state, path, hasSession }: LinkLook): LogLine | undefined {
    const [said, is] = [this.#said, this.#toSay(state, path)];
    if (is === said) return undefined;
    this.#said = is;
    const { type, peer } = { type: 'log', peer: this.#peer } as const;
    if (is === undefined) return { type, level: 'info', message: 'link closed', fields: { peer } };
    if (is === 'down') {
      const reason = hasSession ? 'no path answers' : 'there is no session';
      return { type, level: 'warn', message: 'link down', fields: { peer, reason } };
    }
    const message = said === undefined || said === 'down' ? 'link up' : 'link has another path';
    return { type, level: 'info', message, fields: { peer, path } };
  }

  /** A link that has not been up yet is down when it has been tried long enough, one that was up at once. */
  #toSay(state: LinkState, path: Path): Path | 'down' | undefined {
    switch (state) {
      case 'up':
        return path;
      case 'down':
        return 'down';
      case 'idle':
        return undefined;
      case 'offering':
      case 'probing':
        return this.#said === undefined ? undefined : 'down';
    }
  }
}
