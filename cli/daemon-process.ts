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

/** Whoever breaks a launch off does not want the daemon. */
function reportReady(name: string): void {
  try {
    report({ ready: name });
  } catch {
    throw new BadValue('nobody waits for the daemon any more: the launch was broken off');
  }
}

function reportFailure(failed: string): void {
  try {
    report({ failed });
  } catch {
    // Nobody waits for it: the log has it.
  }
}

async function main(): Promise<void> {
  try {
    process.title = 'weave-ts';
    const input = parseInput(readFileSync(0, 'utf8'));
    await runDaemon(input.settings, input.passwords, { foreground: false, onReady: reportReady });
  } catch (error) {
    reportFailure(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}

void main();
