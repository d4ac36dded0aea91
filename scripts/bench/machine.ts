import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import type { Contender } from './contender.ts';
import type { Described, Machine } from './results.ts';
import { run } from '../run.ts';

const PACKAGES: Readonly<Record<string, string>> = {
  'wireguard-go': 'wireguard-go',
  nebula: 'nebula',
  tinc: 'tinc',
  fastd: 'fastd',
};

/** package.json, relative to dist/scripts/bench. */
const PACKAGE_JSON = new URL('../../../package.json', import.meta.url);

export function describeMachine(): Machine {
  return {
    kernel: release(),
    cpu: cpus()[0]?.model ?? 'unknown CPU',
    cores: cpus().length,
    memoryGigabytes: Math.round(totalmem() / 1e9),
    node: process.version,
    loadBefore: loadavg()[0] ?? 0,
  };
}

export async function describeContender({ name, title, configuration }: Contender): Promise<Described> {
  return { name, title, configuration, version: await versionOf(name.split('/')[0]!) };
}

async function versionOf(name: string): Promise<string> {
  if (name.startsWith('weave-ts')) {
    const { version } = JSON.parse(readFileSync(PACKAGE_JSON, 'utf8')) as { version: string };
    const commit = await run(['git', 'rev-parse', '--short', 'HEAD']).catch(() => undefined);
    return commit?.code === 0 ? `${version} (${commit.stdout.trim()})` : version;
  }
  const debian = PACKAGES[name];
  if (debian === undefined) return '';
  const { stdout } = await run(['dpkg-query', '-W', '-f', '${Version}', debian]);
  return stdout;
}
