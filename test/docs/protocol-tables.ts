/** The tables of docs/PROTOCOL.md as tests read them. */

export interface Table {
  /** The last path in backquotes on a line "Constants of `PATH`:" before the table. */
  readonly path: string | undefined;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function readTables(markdown: string): Table[] {
  const tables: { path: string | undefined; header: readonly string[]; rows: (readonly string[])[] }[] = [];
  let path: string | undefined;
  let isInTable = false;
  for (const line of markdown.split('\n')) {
    if (!line.startsWith('|')) {
      isInTable = false;
      if (line !== '') path = /^Constants of `([^`]+)`:$/.exec(line)?.[1];
      continue;
    }
    const cells = cellsOf(line);
    if (!isInTable) tables.push({ path, header: cells, rows: [] });
    else if (!cells.every((cell) => /^:?-+:?$/.test(cell)) || isDash(cells)) tables.at(-1)!.rows.push(cells);
    isInTable = true;
  }
  return tables;
}

/** The first cells of all tables whose first column has this title. */
export function firstColumn(tables: readonly Table[], title: string): string[] {
  return tables.filter(({ header }) => header[0] === title).flatMap(({ rows }) => rows.map((row) => row[0]!));
}

const MILLIS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000 };

/** What a cell of a value means: a time in milliseconds, another number, a list of words, or a text. */
export function parseValue(value: string, unit: string): unknown {
  if (unit === 'text') return value;
  if (unit === 'list') return value.split(', ');
  const [base, exponent] = value.replaceAll(',', '').split('^').map(Number);
  return (exponent === undefined ? base! : base! ** exponent) * (MILLIS[unit] ?? 1);
}

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** The line under a header has three dashes or more in every cell; a row may have one. */
function isDash(cells: readonly string[]): boolean {
  return cells.some((cell) => cell === '-');
}
