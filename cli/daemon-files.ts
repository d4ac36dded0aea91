/** Files that lie beside the API socket and carry its name. */
export function filesBeside(socket: string): { readonly pid: string; readonly log: string } {
  const stem = socket.replace(/\.sock$/, '');
  return { pid: `${stem}.pid`, log: `${stem}.log` };
}
