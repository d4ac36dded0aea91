import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { callApi } from '../../../router/api/client.ts';
import type { AttachResult } from '../../../router/api/daemon.ts';
import type { StatusDocument } from '../../../router/status.ts';
import { HOSTS, type BenchLab, type HostNumber } from '../bench-lab.ts';
import type { Contender, Place } from '../contender.ts';
import { reached } from '../places.ts';
import { builtCli } from '../../built-cli.ts';
import { until } from '../../run.ts';

const CLI = builtCli();
const LINK_LIMIT = 30_000;

interface Variant {
  readonly engine: 'native' | 'portable';
  readonly encrypted: boolean;
}

export const weaveNative = weave('weave-ts', 'weave-ts', { engine: 'native', encrypted: true });
export const weavePlain = weave('weave-ts-plain', 'weave-ts without password', {
  engine: 'native',
  encrypted: false,
});
export const weavePortable = weave('weave-ts-portable', 'weave-ts, portable engine', {
  engine: 'portable',
  encrypted: true,
});

function weave(name: string, title: string, variant: Variant): Contender {
  return {
    name,
    title,
    configuration: `as launched by default (its own MTU, one worker), --engine ${variant.engine}, ${
      variant.encrypted
        ? 'ChaCha20-Poly1305 by a password'
        : 'no password: neither encrypted nor authenticated'
    }; host address by expose --without-masquerade, pods by attach`,
    async start(lab) {
      const password = lab.file('password', randomBytes(16).toString('hex') + '\n');
      const flags = ['--engine', variant.engine, ...(variant.encrypted ? ['--password-file', password] : [])];
      for (const n of HOSTS) {
        const peers = n === 1 ? [] : [lab.underlay(1)];
        const state = join(lab.dir, `state${n}`);
        const where = ['--socket', socket(lab, n), 'launch', '--state-dir', state, '--nickname', `host${n}`];
        await lab.must(n, [process.execPath, CLI, ...where, ...flags, ...peers]);
      }
      await until('links up and direct', LINK_LIMIT, () => linked(lab, variant));
      return { pids: HOSTS.map((n) => pid(lab, n)), place: (place) => makePlace(lab, place) };
    },
  };
}

/** By the API, not the CLI: starting Node eight times more would take longer than a short round. */
async function makePlace(lab: BenchLab, place: Place): ReturnType<typeof reached> {
  const addresses: string[] = [];
  for (const n of HOSTS) {
    const answer =
      place === 'host'
        ? await callApi(socket(lab, n), 'POST', '/expose', { addresses: [], masquerade: false })
        : await callApi(socket(lab, n), 'POST', '/attach', {
            target: lab.pod(n),
            addresses: [],
            defaultRoute: false,
          });
    addresses.push((answer as AttachResult).addresses[0]!);
  }
  return reached(lab, place, addresses[1]!.split('/')[0]!);
}

/** Whether both ends have a direct link, with the engine and the protection that are to be measured. */
async function linked(lab: BenchLab, variant: Variant): Promise<boolean> {
  for (const n of HOSTS) {
    const { router } = (await callApi(socket(lab, n), 'GET', '/status')) as StatusDocument;
    const link = router.links[0];
    if (router.engine !== variant.engine)
      throw new Error(`engine is ${router.engine}, not ${variant.engine}`);
    if (link?.state !== 'up' || link.path !== 'direct') return false;
    if (link.encrypted !== variant.encrypted) throw new Error(`link has encrypted: ${link.encrypted}`);
  }
  return true;
}

function socket(lab: BenchLab, number: HostNumber): string {
  return join(lab.dir, `run${number}`, 'api.sock');
}

function pid(lab: BenchLab, number: HostNumber): number {
  return Number(readFileSync(socket(lab, number).replace(/\.sock$/, '.pid'), 'utf8'));
}
