/** A failure whose message is one sentence for the operator: what was wrong, with which value, what to do. */
export class HostError extends Error {
  override name = 'HostError';
}

/** An interface of that name is in the namespace already. */
export class InterfaceExists extends HostError {}

/** The target leads to no namespace, or to one that cannot be attached. */
export class BadNamespace extends HostError {}

export class NoNamespace extends BadNamespace {}

/** IPAM gave no address, or not the one that was named. */
export class AddressRefused extends HostError {}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
