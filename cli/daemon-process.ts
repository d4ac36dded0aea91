import { closeSync, readFileSync, writeSync } from 'node:fs';
import type { DaemonInput, DaemonReport } from './detached.ts';
import { BadValue } from './exit.ts';
import { runDaemon } from './launch.ts';

/** The detached daemon: settings and passwords on standard input, one report on descriptor 3. */
const REPORT_DESCRIPTOR = 3;

/** The parser's own sentence would quote the text, and with it a password. */
function parseInput(text: string): DaemonInput {
  try {
    return JSON.parse(text) as DaemonInput;
  } catch {
    throw new BadValue('the settings did not come through the pipe whole: launch again');
  }
}

function report(message: DaemonReport): void {
  writeSync(REPORT_DESCRIPTOR, JSON.stringify(message) + '\n');
  closeSync(REPORT_DESCRIPTOR);
}

try {
  process.title = 'weave-ts';
  const input = parseInput(readFileSync(0, 'utf8'));
  const name = await runDaemon(input.settings, input.passwords, { foreground: false });
  report({ ready: name });
} catch (error) {
  report({ failed: error instanceof Error ? error.message : String(error) });
  process.exit(1);
}
