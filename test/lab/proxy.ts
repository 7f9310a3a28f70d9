import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expectMarkedSettings, expectNoSecretFiles, expectNoSecrets } from '../support/marked-secrets.ts';
import type { Job } from './job.ts';
import type { Space } from './space.ts';

export const PROXY_ADDRESS = '127.0.0.9';
export const PROXY_HOST = 'proxy.test';
const PORT = 3128;

/** What the proxy is started from; a `Lab` is one. */
export interface ProxyHome {
  readonly work: string;
  /** PEM file of the authority behind the upstream servers. */
  readonly ca: string;
  readonly space: Space;
  readonly onDown: (cleanup: () => Promise<void>) => void;
}

export interface ProxyOptions {
  /** Settings beside or instead of those the lab makes. */
  readonly env?: Readonly<Record<string, string>>;
  /** The default is a new folder each. */
  readonly cacheDir?: string;
  readonly caDir?: string;
}

/** One line of the access log: every value is a string. */
export type ProxyRequest = Readonly<Record<string, string>>;

const MAIN = join(import.meta.dirname, '../../src/main.ts');

/** Breakwater, run from source next to the upstream servers. */
export class Proxy {
  readonly url = `http://${PROXY_HOST}:${PORT}`;
  readonly cacheDir: string;
  readonly caDir: string;
  readonly #space: Space;
  readonly #env: Readonly<Record<string, string>>;
  readonly #jobs: Job[] = [];
  #forgotten = 0;

  constructor(home: ProxyHome, options: ProxyOptions) {
    const folder = join(home.work, 'proxies', randomUUID());
    this.cacheDir = options.cacheDir ?? join(folder, 'cache');
    this.caDir = options.caDir ?? join(folder, 'ca');
    this.#space = home.space;
    this.#env = {
      LISTEN: `${PROXY_ADDRESS}:${PORT}`,
      ADMIN_LISTEN: 'off',
      CACHE_DIR: this.cacheDir,
      CA_DIR: this.caDir,
      // everything upstream is on this machine
      ALLOW_LOCAL_ADDRESSES: '127.0.0.0/8',
      EXTRA_CA_FILE: home.ca,
      // what is asked upstream must not depend on how fast a test is
      TAG_CHECK_INTERVAL: '0',
      ...options.env,
    };
    expectMarkedSettings(this.#env);
  }

  /** PEM file of the authority clients must trust. */
  get ca(): string {
    return join(this.caDir, 'ca.crt');
  }

  get #current(): Job {
    const job = this.#jobs.at(-1);
    if (job === undefined) throw new Error('the proxy was never started');
    return job;
  }

  /** Its pid as seen from outside the lab, for example to measure it. */
  get pid(): number {
    return this.#current.innerPid;
  }

  /** All it wrote to stderr since it was last started. */
  get log(): string {
    return this.#current.stderr.all.join('\n');
  }

  /** Resolves when connections are accepted. */
  async start(): Promise<void> {
    await mkdir(this.cacheDir, { recursive: true });
    await mkdir(this.caDir, { recursive: true });
    const job = this.#space.start([process.execPath, MAIN, 'serve'], { env: this.#env });
    this.#jobs.push(job);
    const listening = (line: string): boolean => /listening on/i.test(line);
    try {
      await Promise.any([job.stderr.until(listening), job.stdout.until(listening)]);
    } catch {
      const { code, signal } = await job.exited;
      throw new Error(`the proxy ended at its start (${signal ?? `exit code ${code}`}):\n${this.log}`);
    }
  }

  /** The access log since `forget` was last called. A line comes after its answer: `until` waits for one. */
  requests(): ProxyRequest[] {
    return this.#everything().slice(this.#forgotten);
  }

  forget(): void {
    this.#forgotten = this.#everything().length;
  }

  /** Resolves with the first request since `forget` that `test` accepts, however late its line comes. */
  async until(test: (request: ProxyRequest) => boolean): Promise<ProxyRequest> {
    for (;;) {
      const found = this.requests().find(test);
      if (found !== undefined) return found;
      await this.#current.stdout.next();
    }
  }

  /** Ends it as a supervisor does and insists on a clean exit. */
  async stop(): Promise<void> {
    if (!this.#current.running) return;
    const { code, signal } = await this.#current.stop('SIGTERM', 60_000);
    if (code !== 0) throw new Error(`the proxy did not stop cleanly (${signal ?? code}):\n${this.log}`);
  }

  /** Ends it as a power failure does. */
  async kill(): Promise<void> {
    await this.#current.stop('SIGKILL');
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Ends it, and looks for secrets in what it wrote in all its life: its output, its files but whole blobs. */
  async close(): Promise<void> {
    await this.kill();
    const [stdout, stderr] = [
      this.#jobs.flatMap((job) => job.stdout.all),
      this.#jobs.flatMap((job) => job.stderr.all),
    ];
    expectNoSecrets(['stdout', stdout.join('\n')], ['stderr', stderr.join('\n')]);
    await expectNoSecretFiles(this.cacheDir);
    await expectNoSecretFiles(this.caDir);
  }

  #everything(): ProxyRequest[] {
    return this.#jobs
      .flatMap((job) => job.stdout.all)
      .map(parse)
      .filter((request) => request !== undefined);
  }
}

export async function startProxy(home: ProxyHome, options: ProxyOptions = {}): Promise<Proxy> {
  const proxy = new Proxy(home, options);
  await proxy.start();
  home.onDown(() => proxy.close());
  return proxy;
}

function parse(line: string): ProxyRequest | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    // The access log's own contract: an object whose values are strings.
    const entry = JSON.parse(line) as ProxyRequest;
    return entry['access_time'] === undefined ? undefined : entry;
  } catch (cause) {
    throw new Error(`the proxy wrote a line to stdout that is not JSON: ${line}`, { cause });
  }
}
