import { readFileSync } from 'node:fs';

/** From package.json, which lies two folders above dist/cli and dist/bundle. */
export const VERSION = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
