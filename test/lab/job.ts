import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Output {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface JobOptions {
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly stdin?: 'pipe' | 'ignore' | undefined;
}

export interface RunOptions extends JobOptions {
  /** Accept an exit code other than 0 instead of throwing. */
  readonly mayFail?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
}

/** The lines a process has written to one of its streams so far. */
export class Lines {
  readonly all: string[] = [];
  readonly #waiting = new Set<() => void>();
  #ended = false;

  constructor(stream: Readable) {
    createInterface({ input: stream, crlfDelay: Infinity })
      .on('line', (line) => {
        this.all.push(line);
        this.#wake();
      })
      .on('close', () => {
        this.#ended = true;
        this.#wake();
      });
  }

  /** Resolves with the first line, past or future, that `test` accepts; throws if the stream ends without one. */
  async until(test: (line: string) => boolean): Promise<string> {
    for (let tested = 0; ; await this.next()) {
      for (const line of this.all.slice(tested)) {
        tested++;
        if (test(line)) return line;
      }
    }
  }

  /** Resolves when more has been written; throws if the stream has ended. */
  async next(): Promise<void> {
    if (!this.#ended) await new Promise<void>((resolve) => this.#waiting.add(resolve));
    else throw new Error(`the stream ended; last lines:\n${this.all.slice(-20).join('\n')}`);
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** A process that runs until it is stopped. */
export class Job {
  readonly stdout: Lines;
  readonly stderr: Lines;
  /** Settles when the process is gone and all it wrote has been read. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;

  constructor(argv: readonly string[], options: JobOptions = {}) {
    const child = launch(argv, options);
    this.#child = child;
    this.stdout = new Lines(child.stdout);
    this.stderr = new Lines(child.stderr);
    this.exited = closed(child, argv);
    // The failure is reported to whoever awaits `exited`; nobody may be doing so yet.
    this.exited.catch(() => {});
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the process could not be started');
    return this.#child.pid;
  }

  /** The pid of the program itself where it was started through a wrapper. */
  get innerPid(): number {
    return innerPid(this.pid);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Closes the pipe to the process: the same happens by itself should this process die. */
  closeStdin(): void {
    this.#child.stdin?.end();
  }

  kill(signal: NodeJS.Signals): void {
    if (this.running) signalProcess(this.pid, signal);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = 10_000): Promise<Exit> {
    this.kill(signal);
    const timer = setTimeout(() => this.kill('SIGKILL'), graceMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Runs a command to its end. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Output> {
  const child = launch(argv, options);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const limit = options.timeoutMs ?? 120_000;
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    if (child.pid !== undefined) signalProcess(child.pid, 'SIGKILL');
  }, limit);
  const exit = await closed(child, argv).finally(() => clearTimeout(timer));
  const output: Output = {
    code: exit.code ?? 128,
    stdout: Buffer.concat(stdout),
    stderr: Buffer.concat(stderr).toString(),
  };
  if (timedOut) throw new Error(`${argv.join(' ')}: no end after ${limit} ms\n${output.stderr}`);
  if (output.code !== 0 && options.mayFail !== true) {
    throw new Error(`${argv.join(' ')}: exit code ${output.code}\n${output.stderr}`);
  }
  return output;
}

/** The process a namespace-entering wrapper has forked, or the process itself. */
function innerPid(pid: number): number {
  try {
    const inner = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]);
    return isWrapper(pid) && inner > 0 ? inner : pid;
  } catch {
    return pid;
  }
}

function isWrapper(pid: number): boolean {
  return ['nsenter', 'unshare'].includes(readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
}

// A wrapper does not pass signals on, so they go to what it wraps; the wrapper then ends with the same code.
function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(innerPid(pid), signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

function launch(argv: readonly string[], options: JobOptions) {
  const [file, ...args] = argv;
  if (file === undefined) throw new Error('an empty command');
  // Detached: a Ctrl-C at the terminal reaches only the lab itself, which then stops things in order.
  const child = spawn(file, args, {
    env: options.env ?? process.env,
    stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('a pipe is missing');
  return Object.assign(child, { stdout, stderr });
}

function closed(child: ChildProcess, argv: readonly string[]): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new Error(`cannot run ${argv.join(' ')}`, { cause })));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}
