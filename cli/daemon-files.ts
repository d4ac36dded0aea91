/** Files that lie beside the API socket and carry its name. */
export function filesBeside(socket: string): {
  readonly pid: string;
  readonly log: string;
  /** A directory: DELs that the CNI shim queues while no daemon is there. The shim knows the name too. */
  readonly spool: string;
} {
  const stem = socket.replace(/\.sock$/, '');
  return { pid: `${stem}.pid`, log: `${stem}.log`, spool: `${stem}.cni-spool` };
}
