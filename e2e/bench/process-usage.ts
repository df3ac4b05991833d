/** What a process uses, as Linux counts it in /proc. */
import { readFileSync } from 'node:fs';

// The unit of the times in /proc/PID/stat: sysconf(_SC_CLK_TCK), 100 on every Linux of today.
const TICKS_PER_SECOND = 100;

/** Resident memory and the processor time so far. */
export interface Usage {
  residentMb: number;
  cpuSeconds: number;
}

/** Reads the usage of a process. Throws where it is gone, or where there is no /proc. */
export function readUsage(pid: number): Usage {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  const residentKb = Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]);
  // The name in parentheses may hold spaces; the numbers follow it.
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return { residentMb: (residentKb * 1024) / 1e6, cpuSeconds: ticks / TICKS_PER_SECOND };
}
