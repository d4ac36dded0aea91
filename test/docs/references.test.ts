import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';

const pages = [...pagesIn('.'), ...pagesIn('docs'), ...pagesIn('docs/adr')];
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };

test('every claim of the threat model names a test', (t) => {
  const rows = readFileSync('docs/THREAT-MODEL.md', 'utf8').split('## Claims and tests')[1]!.split('\n');
  const claims = rows.filter((row) => row.startsWith('| ')).slice(2);
  t.true(claims.length > 20);
  for (const claim of claims) t.regex(claim, /`test\/[^`]+\.ts`/);
});

test('what the pages name exists: tests, scripts of npm, and what they link to', (t) => {
  t.true(pages.length > 10);
  for (const page of pages) {
    const text = readFileSync(page, 'utf8');
    for (const path of found(text, /`(test\/[^`* ]+)`/g)) t.true(existsSync(path), `${page}: ${path}`);
    for (const script of found(text, /npm run (?:--silent )?([a-z0-9-]+(?::[a-z0-9-]+)*)/g))
      t.true(script in scripts, `${page}: npm run ${script}`);
    for (const link of found(text, /\]\((?!https?:|#)([^)#]+)/g))
      t.true(existsSync(join(dirname(page), link)), `${page}: ${link}`);
  }
});

function pagesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));
}

function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, each]) => each!);
}
