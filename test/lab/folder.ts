import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PREFIX = 'breakwater-lab-';
const STATE = 'lab.json';

/** What another process needs to know to enter a lab or to end it. */
export interface LabState {
  readonly work: string;
  /** The process that keeps the lab. */
  readonly pid: number;
  /** When that process started, in clock ticks since boot: a pid alone may have been given to another one. */
  readonly started: string;
  /** Whether people may enter and end it. */
  readonly byHand?: boolean;
  /** Pids to enter with nsenter; absent while the lab comes up. */
  readonly servers?: number;
  readonly clients?: number;
}

export async function createWorkFolder(): Promise<string> {
  const work = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
  await writeState(work, {});
  return work;
}

export async function writeState(
  work: string,
  rest: Pick<LabState, 'byHand' | 'servers' | 'clients'>,
): Promise<void> {
  const started = startOf(process.pid) ?? '';
  const state: LabState = { work, pid: process.pid, started, ...rest };
  await writeFile(join(work, STATE), JSON.stringify(state));
}

/** The labs that are up on this machine. */
export async function liveLabs(): Promise<LabState[]> {
  return (await survey()).live;
}

/** Removes what labs left whose process died; their processes and mounts have ended with them. */
export async function sweep(): Promise<void> {
  const { dead } = await survey();
  for (const work of dead) await removeWorkFolder(work);
}

export async function removeWorkFolder(work: string): Promise<void> {
  await removeCgroups(work);
  await rm(work, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** The cgroup that containers of this lab are put under. */
export function cgroupParent(work: string): string {
  return `/${basename(work)}`;
}

async function survey(): Promise<{ live: LabState[]; dead: string[] }> {
  const live: LabState[] = [];
  const dead: string[] = [];
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const work = join(tmpdir(), name);
    const state = await readState(work);
    if (state !== undefined && startOf(state.pid) === state.started) live.push(state);
    // A folder without a state file may be one that is being made at this moment by the process in its name.
    else if (state !== undefined || startOf(Number(name.slice(PREFIX.length).split('-')[0])) === undefined) {
      dead.push(work);
    }
  }
  return { live, dead };
}

async function readState(work: string): Promise<LabState | undefined> {
  try {
    // Written by `writeState`.
    return JSON.parse(await readFile(join(work, STATE), 'utf8')) as LabState;
  } catch {
    return undefined;
  }
}

function startOf(pid: number): string | undefined {
  try {
    // The second field, a name in parentheses, may hold spaces; the start time is the 20th after it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
    return fields?.[19];
  } catch {
    return undefined;
  }
}

// Runtimes remove a container's cgroup but not the parent, and nothing at all when they are killed.
async function removeCgroups(work: string): Promise<void> {
  const root = '/sys/fs/cgroup';
  const controllers = await readdir(root).catch(() => []);
  for (const controller of ['.', ...controllers]) {
    await removeCgroup(join(root, controller, cgroupParent(work)));
  }
}

async function removeCgroup(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return;
  for (const entry of entries) if (entry.isDirectory()) await removeCgroup(join(folder, entry.name));
  for (let tries = 50; ; tries--) {
    try {
      return await rmdir(folder);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'ENOENT') return;
      // The processes in it may be ending at this moment.
      if (code !== 'EBUSY' || tries === 0) throw error;
      await sleep(100);
    }
  }
}
