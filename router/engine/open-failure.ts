import { formatIp, type IpAddress } from '../../core/address.ts';
import { EngineError } from './port.ts';

/** What an operator is told when the UDP socket cannot be bound. */
export function bindFailure(error: unknown, address: IpAddress | undefined, port: number): EngineError {
  const where = address === undefined ? 'any address' : formatIp(address);
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new EngineError(
        `port ${port} is in use (UDP): stop what listens there, or choose another --port`,
      );
    case 'EADDRNOTAVAIL':
      return new EngineError(`this host does not have the address ${where}`);
    case 'EACCES':
      return new EngineError(`port ${port} (UDP) needs more privileges`);
    default:
      return new EngineError(`cannot bind UDP port ${port} of ${where}: ${textOf(error)}`);
  }
}

/** What an operator is told when the TAP cannot be had. */
export function tapFailure(error: unknown, tap: string): EngineError {
  switch (codeOf(error)) {
    case 'EPERM':
    case 'EACCES':
      return new EngineError(`the TAP ${tap} needs root, or CAP_NET_ADMIN and access to /dev/net/tun`);
    case 'ENOENT':
    case 'ENODEV':
    case 'ENXIO':
      return new EngineError(`this host has no /dev/net/tun: load the kernel module "tun"`);
    case 'EBUSY':
      return new EngineError(`the TAP ${tap} is in use by another program`);
    case 'EINVAL':
      return new EngineError(
        `the device ${tap} is there already and no TAP of ours: remove it (ip link del)`,
      );
    default:
      return new EngineError(`cannot open the TAP ${tap}: ${textOf(error)}`);
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
