import type { SpecVersion } from './spec-version.ts';

export interface ConflistFacts {
  readonly cniVersion: SpecVersion;
  /** The API socket, if it is not the default one. */
  readonly socket: string | undefined;
  /** Further plugins that are installed. */
  readonly present: ReadonlySet<string>;
}

/** Plugins that come after ours where they are there, in this order. */
export const CHAINED_PLUGINS = ['portmap', 'bandwidth'] as const;

const CHAINED: Readonly<Record<(typeof CHAINED_PLUGINS)[number], object>> = {
  portmap: { type: 'portmap', capabilities: { portMappings: true }, snat: true },
  bandwidth: { type: 'bandwidth', capabilities: { bandwidth: true } },
};

export const CONFLIST_NAME = '10-weave-ts.conflist';

/** The text of {@link CONFLIST_NAME}. */
export function conflistText({ cniVersion, socket, present }: ConflistFacts): string {
  const own = {
    type: 'weave-ts',
    capabilities: { ips: true },
    ...(socket === undefined ? {} : { socket }),
  };
  const plugins = [own, ...CHAINED_PLUGINS.filter((name) => present.has(name)).map((name) => CHAINED[name])];
  return JSON.stringify({ cniVersion, name: 'weave-ts', plugins }, null, 2) + '\n';
}
