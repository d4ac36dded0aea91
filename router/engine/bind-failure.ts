import { formatIp, type IpAddress } from '../../core/address.ts';
import { EngineError } from './port.ts';

/** What an operator is told when the UDP socket cannot be bound. */
export function bindFailure(
  error: NodeJS.ErrnoException,
  address: IpAddress | undefined,
  port: number,
): EngineError {
  return new EngineError(explain(error, address === undefined ? 'any address' : formatIp(address), port));
}

function explain(error: NodeJS.ErrnoException, address: string, port: number): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `port ${port} is in use (UDP): stop the program that has it, or choose another port`;
    case 'EADDRNOTAVAIL':
      return `this host does not have the address ${address}`;
    case 'EACCES':
      return `port ${port} (UDP) needs more privileges`;
    default:
      return `cannot bind UDP port ${port} of ${address}: ${error.message}`;
  }
}
