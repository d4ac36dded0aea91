import type { LaunchFlags } from '../../cli/settings.ts';

/** What `launch` has for flags if none is given. */
export const standardFlags: LaunchFlags = {
  port: '6783',
  ipallocRange: '10.32.0.0/12',
  discovery: true,
  connLimit: '0',
  bridge: 'weave',
  stateDir: '/var/lib/weave-ts',
  engine: 'auto',
  workers: '1',
  fullMeshLimit: '80',
  hostFirewall: true,
  logLevel: 'info',
  resume: false,
};
