/** Text for people. Colour only where the caller says that a terminal reads it. */

const ESCAPE_SEQUENCE = new RegExp('\\u001b\\[\\d+m', 'g');

export type Row = readonly string[];

/** Columns padded to the widest cell, two spaces apart, no trailing blanks. */
export function table(rows: readonly Row[]): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, visibleLength(cell))));
  return rows
    .map(
      (row) =>
        row
          .map((cell, i) => padded(cell, widths[i]!))
          .join('  ')
          .trimEnd() + '\n',
    )
    .join('');
}

/** "Label: value" lines with the colons in one column. */
export function fields(pairs: readonly (readonly [label: string, value: string])[]): string {
  const width = Math.max(...pairs.map(([label]) => label.length));
  return pairs.map(([label, value]) => `${label.padStart(width)}: ${value}\n`).join('');
}

const COLOURS = { good: 32, bad: 31, waiting: 33 } as const;
export type Tone = keyof typeof COLOURS;

export function painted(text: string, tone: Tone, colour: boolean): string {
  return colour ? `\u001b[${COLOURS[tone]}m${text}\u001b[0m` : text;
}

/** Bytes with a binary unit, as in "1.5 MiB". */
export function byteCount(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** "1 address", "2 addresses". */
export function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A peer for people: by its nickname, if it is known. */
export function labelled(name: string, nickname: string): string {
  return nickname === '' ? name : `${nickname} (${name})`;
}

function padded(cell: string, width: number): string {
  return cell + ' '.repeat(width - visibleLength(cell));
}

function visibleLength(cell: string): number {
  return cell.replaceAll(ESCAPE_SEQUENCE, '').length;
}
