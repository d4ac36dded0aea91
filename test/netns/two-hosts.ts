import type { ExecutionContext } from 'ava';
import { Lab, type Container, type LabHost } from '../../scripts/lab.ts';

export interface TwoHosts {
  readonly lab: Lab;
  readonly hosts: readonly [LabHost, LabHost];
  /** Attached to the first and to the second host. */
  readonly a: Container;
  readonly b: Container;
}

export type EnginePair = readonly [first: string, second: string];

/** Both engines, each against both. */
export const ENGINE_PAIRS: readonly EnginePair[] = [
  ['native', 'native'],
  ['native', 'portable'],
  ['portable', 'native'],
  ['portable', 'portable'],
];

/** IPv6 inside the mesh, of the first and the second container. */
export const INNER6 = ['2001:db8:32::1', '2001:db8:32::2'] as const;

let labs = 0;

/** A mesh of two hosts with a container each, which reach each other over IPv4 and IPv6. */
export async function twoHosts(
  t: ExecutionContext,
  word: string,
  engines: EnginePair,
  prepare: (lab: Lab) => Promise<void> = () => Promise.resolve(),
): Promise<TwoHosts> {
  const lab = await Lab.create(`${word}${process.pid}x${labs++}`, 2);
  t.teardown(() => lab.remove());
  await prepare(lab);
  const [first, second] = lab.hosts as [LabHost, LabHost];
  const env = { WEAVE_PASSWORD: 'documentation' };
  await first.launch(['--engine', engines[0]], { env });
  await second.launch(['--engine', engines[1], first.address], { env });
  await lab.meshed();
  const [a, b] = [await first.container('a'), await second.container('b')];
  for (const [i, container] of [a, b].entries()) {
    await container.must(['ip', '-6', 'address', 'add', `${INNER6[i]!}/64`, 'dev', 'ethwe', 'nodad']);
  }
  await a.reaches(b);
  return { lab, hosts: [first, second], a, b };
}
