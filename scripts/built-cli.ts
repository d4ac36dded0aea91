import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The program as it ships, if it is of the last build; after `tsc` alone, the modules that it is made of. */
export function builtCli(): string {
  const [bundle, modules, build] = ['bundle/main.js', 'cli/main.js', '.tsbuildinfo'].map((path) =>
    fileURLToPath(new URL(`../${path}`, import.meta.url)),
  ) as [string, string, string];
  if (!existsSync(bundle)) return modules;
  return !existsSync(build) || statSync(bundle).mtimeMs >= statSync(build).mtimeMs ? bundle : modules;
}
