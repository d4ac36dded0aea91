import { readFileSync } from 'node:fs';

/** CPU time used up to now, in seconds. */
export interface CpuTimes {
  readonly systemSeconds: number;
  readonly processSeconds: number;
}

/** Kernel's unit of CPU times that programs see; 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Busy time of all cores, and that of some processes with all their threads (proc(5): stat). */
export function cpuTimes(pids: readonly number[]): CpuTimes {
  return {
    systemSeconds: busyTicks(readFileSync('/proc/stat', 'utf8')) / TICKS_PER_SECOND,
    processSeconds:
      pids.reduce((sum, pid) => sum + processTicks(readFileSync(`/proc/${pid}/stat`, 'utf8')), 0) /
      TICKS_PER_SECOND,
  };
}

export function cpuSince(before: CpuTimes, pids: readonly number[]): CpuTimes {
  const now = cpuTimes(pids);
  return {
    systemSeconds: now.systemSeconds - before.systemSeconds,
    processSeconds: now.processSeconds - before.processSeconds,
  };
}

/** user + nice + system + irq + softirq of the line "cpu" of /proc/stat; not idle, waiting or stolen time. */
export function busyTicks(stat: string): number {
  const fields = /^cpu +(.*)$/m.exec(stat)?.[1]?.split(' ').map(Number) ?? [];
  return [0, 1, 2, 5, 6].reduce((sum, i) => sum + (fields[i] ?? 0), 0);
}

/** utime + stime of a /proc/PID/stat; the program's name before them may hold blanks and parentheses. */
export function processTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
