import type { EngineEvent } from './engine/port.ts';

/** What a host says of an address that it has no way to: of a peer's addresses some are such, as IPv6 where there is none. */
const NO_WAY: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EHOSTUNREACH', 'ENETUNREACH']);

/**
 * Counts datagrams that the system refused, by reason. Messages of links are apart, as no frame is lost with them; that
 * they do not reach every address which a peer may have is no news.
 */
export function countSendFailure(
  { errno, frames, messages }: Extract<EngineEvent, { type: 'send-failed' }>,
  count: (reason: string, by: number) => void,
): void {
  if (frames > 0) count(`send-failed-${errno}`, frames);
  if (messages > 0 && !NO_WAY.has(errno)) count(`link-message-failed-${errno}`, messages);
}
