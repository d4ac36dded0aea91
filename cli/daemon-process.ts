import { closeSync, readFileSync, writeSync } from 'node:fs';
import type { DaemonInput, DaemonReport } from './detached.ts';
import { runDaemon } from './launch.ts';

/** The detached daemon: settings and passwords on standard input, one report on descriptor 3. */
const REPORT_DESCRIPTOR = 3;

function report(message: DaemonReport): void {
  writeSync(REPORT_DESCRIPTOR, JSON.stringify(message) + '\n');
  closeSync(REPORT_DESCRIPTOR);
}

try {
  process.title = 'weave-ts';
  const input = JSON.parse(readFileSync(0, 'utf8')) as DaemonInput;
  const name = await runDaemon(input.settings, input.passwords, { foreground: false });
  report({ ready: name });
} catch (error) {
  report({ failed: error instanceof Error ? error.message : String(error) });
  process.exit(1);
}
