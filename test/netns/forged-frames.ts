import { must } from '../../scripts/run.ts';

/** Frames in hexadecimal, as a namespace may send them that does not keep to its MAC, address and role. */

export interface Sender {
  readonly mac: string;
  readonly ip: string;
  readonly otherIp: string;
}

/** Sends one frame, given in hexadecimal, out of an interface of the namespace. */
export async function sendFrame(netns: string, interfaceName: string, hex: string): Promise<void> {
  const octal = hex.replaceAll(
    /../g,
    (pair) => `\\${Number.parseInt(pair, 16).toString(8).padStart(3, '0')}`,
  );
  const send = `printf '${octal}' | socat -u - interface:${interfaceName}`;
  await must(['ip', 'netns', 'exec', netns, 'sh', '-c', send]);
}

/** Sends a frame of at most 64 bytes, padded to that, `count` times as fast as it goes. */
export async function sendFrames(
  netns: string,
  interfaceName: string,
  hex: string,
  count: number,
): Promise<void> {
  // Whole frames fit what a pipe holds, so that each read of socat is one frame.
  const input = Buffer.from(hex.padEnd(128, '0').repeat(count), 'hex');
  await must(['ip', 'netns', 'exec', netns, 'socat', '-b', '64', '-u', '-', `interface:${interfaceName}`], {
    input,
  });
}

export function ethernet(source: string, type: string, destination = 'ffffffffffff'): string {
  return destination + source.replaceAll(':', '') + type;
}

/** A packet without a correct checksum of its header: bridges do not look at it, and nobody is to answer. */
export function ipv4(source: string, destination: string, protocol = 'fd', payload = ''): string {
  const length = (20 + payload.length / 2).toString(16).padStart(4, '0');
  const head = `4500${length}0000000040${protocol}`;
  return head + checksum(head, source, destination) + hexOf(source) + hexOf(destination) + payload;
}

function checksum(head: string, source: string, destination: string): string {
  const words = (head + hexOf(source) + hexOf(destination))
    .match(/.{4}/g)!
    .map((word) => Number.parseInt(word, 16));
  let sum = words.reduce((a, b) => a + b, 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return (~sum & 0xffff).toString(16).padStart(4, '0');
}

/** An answer to everybody; with another `sender` a question of theirs for `ip`. */
export function arp(mac: string, ip: string, sender = ip): string {
  const operation = sender === ip ? '0002' : '0001';
  return `000108000604${operation}${mac.replaceAll(':', '')}${hexOf(sender)}ffffffffffff${hexOf(ip)}`;
}

/** Whether somebody has `target`, asked before having an address. */
export function neighbourProbe(sender: Pick<Sender, 'mac'>, target: string): string {
  return ipv6(sender, '3a', `8700000000000000${target}`, '00'.repeat(16));
}

/** From the sender's link-local address to all nodes; the target is fe80::99. */
export function icmp6(sender: Pick<Sender, 'mac'>, type: string): string {
  return ipv6(sender, '3a', `${type}00000060000000` + 'fe800000000000000000000000000099');
}

/** From the sender's link-local address, or from `source`, to all nodes, with a checksum that nobody looks at. */
export function ipv6(
  { mac }: Pick<Sender, 'mac'>,
  protocol: string,
  payload: string,
  source = linkLocal(mac),
): string {
  const length = (payload.length / 2).toString(16).padStart(4, '0');
  return `60000000${length}${protocol}ff${source}ff020000000000000000000000000001${payload}`;
}

/** As 32 hexadecimal digits. */
export function linkLocal(mac: string): string {
  const [a, b, c, d, e, f] = mac.split(':');
  const flipped = (Number.parseInt(a!, 16) ^ 2).toString(16).padStart(2, '0');
  return `fe80000000000000${flipped}${b}${c}fffe${d}${e}${f}`;
}

function hexOf(ip: string): string {
  return ip
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join('');
}
