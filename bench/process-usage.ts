import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** What a server's processes have used, by /proc; `pids` are all of them. */
export interface Usage {
  /** User and system time of all threads, seconds. */
  readonly cpu: number;
  /** MiB now (VmRSS), and the most since `resetPeak` (VmHWM). */
  readonly rss: number;
  readonly peak: number;
}

const TICKS = 100; // USER_HZ, which Linux fixes for all its platforms

export function usageOf(pids: readonly number[]): Usage {
  const sum = (of: (pid: number) => number): number => pids.reduce((total, pid) => total + of(pid), 0);
  return {
    cpu: sum(cpuOf),
    rss: sum((pid) => statusOf(pid, 'VmRSS')),
    peak: sum((pid) => statusOf(pid, 'VmHWM')),
  };
}

/** Starts the peak anew (proc(5), clear_refs). */
export function resetPeak(pids: readonly number[]): void {
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** Processes whose parent is `pid` and whose title has `word` in it. */
export function childrenOf(pid: number, word: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => parentOf(child) === pid && read(`/proc/${child}/cmdline`)?.includes(word) === true);
}

/** Nanoseconds of each thread (schedstat), which adds up to utime + stime but is finer than its ticks. */
function cpuOf(pid: number): number {
  let nanoseconds = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const text = read(`/proc/${pid}/task/${task}/schedstat`);
    nanoseconds += Number(text?.split(' ')[0] ?? 0);
  }
  if (nanoseconds > 0) return nanoseconds / 1e9;
  const fields = afterName(read(`/proc/${pid}/stat`) ?? '');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

function parentOf(pid: number): number | undefined {
  const text = read(`/proc/${pid}/stat`);
  return text === undefined ? undefined : Number(afterName(text)[1]);
}

/** The fields behind the name, which may hold spaces; the first is the state. */
function afterName(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function statusOf(pid: number, key: string): number {
  const line = new RegExp(String.raw`^${key}:\s+(\d+) kB`, 'm').exec(read(`/proc/${pid}/status`) ?? '');
  return Number(line?.[1] ?? 0) / 1024;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // it has just ended
  }
}
