import type { Place } from './contender.ts';
import { METRICS, type MetricName } from './metrics.ts';
import { spreadOf, type Results } from './results.ts';
import type { Spread } from './statistics.ts';

const PANELS: readonly (readonly [MetricName, Place])[] = [
  ['tcp1', 'pod'],
  ['tcp8', 'pod'],
  ['udp64Lossless', 'pod'],
  ['udp1400Lossless', 'pod'],
  ['rttIdleP50', 'pod'],
  ['rttLoadP99', 'pod'],
  ['cpuSystem', 'pod'],
];

const WIDTH = 900;
const LABELS = 230;
const BARS = 480;
const ROW = 24;
const TITLE = 34;
const GAP = 18;
const MARGIN = 16;

interface Bar {
  readonly label: string;
  readonly ours: boolean;
  readonly value: Spread;
}

/** An SVG document: one panel of horizontal bars per metric, with the range over the rounds as a thin line. */
export function chart(results: Results): string {
  const panels = PANELS.map(([metric, place]) => ({
    metric,
    place,
    bars: bars(results, metric, place),
  })).filter((panel) => panel.bars.length > 0);
  let y = MARGIN;
  const body = panels.map(({ metric, place, bars }) => {
    const drawn = drawPanel(`${METRICS[metric].title}, ${place} to ${place}`, metric, bars, y);
    y += TITLE + bars.length * ROW + GAP;
    return drawn;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" font-family="Helvetica, Arial, sans-serif" font-size="13">
<rect width="${WIDTH}" height="${y}" fill="#ffffff"/>
${body.join('\n')}
</svg>
`;
}

function bars({ contenders, turns }: Results, metric: MetricName, place: Place): Bar[] {
  return contenders.flatMap(({ name, title }) => {
    const value = spreadOf(turns, name, place, metric);
    return value === undefined ? [] : [{ label: title, ours: name.startsWith('weave-ts'), value }];
  });
}

function drawPanel(title: string, metric: MetricName, rows: readonly Bar[], top: number): string {
  const { unit, better, digits } = METRICS[metric];
  const longest = Math.max(...rows.map(({ value }) => value.max));
  const scale = longest > 0 ? BARS / longest : 0;
  const heading = `<text x="${MARGIN}" y="${top + 18}" font-weight="bold" fill="#222222">${escapeXml(title)}<tspan dx="6" font-weight="normal" fill="#666666">(${unit}, ${better} is better)</tspan></text>`;
  const drawn = rows.map((bar, i) => drawBar(bar, top + TITLE + i * ROW, scale, digits));
  return [heading, ...drawn].join('\n');
}

function drawBar({ label, ours, value }: Bar, top: number, scale: number, digits: number): string {
  const length = (size: number) => (size * scale).toFixed(1);
  const middle = top + ROW / 2 - 2;
  const baseline = middle + 4.5;
  const color = ours ? '#1f77b4' : '#b8c0c8';
  const parts = [
    `<text x="${LABELS - 8}" y="${baseline}" text-anchor="end" fill="#222222"${ours ? ' font-weight="bold"' : ''}>${escapeXml(label)}</text>`,
    `<rect x="${LABELS}" y="${top}" width="${length(value.median)}" height="${ROW - 5}" fill="${color}"/>`,
  ];
  if (value.count > 1) {
    parts.push(
      `<path d="M${LABELS + value.min * scale} ${middle}H${LABELS + value.max * scale}" stroke="#333333" stroke-width="1.5"/>`,
    );
  }
  const right = (LABELS + value.max * scale + 6).toFixed(1);
  parts.push(
    `<text x="${right}" y="${baseline}" fill="#222222">${escapeXml(figureText(value, digits))}</text>`,
  );
  return parts.join('\n');
}

function figureText(value: Spread, digits: number): string {
  const median = value.median.toFixed(digits);
  return value.count === 1 ? median : `${median} (${value.min.toFixed(digits)}-${value.max.toFixed(digits)})`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
