import { randomUUID } from 'node:crypto';
import type { Job } from './job.ts';
import type { Space } from './space.ts';

/** What every server of the lab records of a request. */
export interface ServerRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
}

interface ServerOptions<R extends ServerRequest> {
  /** Short name, for messages. */
  readonly name: string;
  readonly host: string;
  readonly address: string;
  readonly command: readonly string[];
  /** Reads one line of the server's output; undefined where it is not about a request. */
  readonly parse: (line: string) => R | undefined;
}

const MARKER = '/lab-marker/';

/** An upstream server: a process inside the lab that can go down and come back, and that remembers its requests. */
export class Server<R extends ServerRequest> {
  readonly name: string;
  readonly host: string;
  readonly address: string;
  readonly #space: Space;
  readonly #options: ServerOptions<R>;
  readonly #jobs: Job[] = [];
  #forgotten = 0;

  constructor(space: Space, options: ServerOptions<R>) {
    this.#space = space;
    this.#options = options;
    this.name = options.name;
    this.host = options.host;
    this.address = options.address;
  }

  get #current(): Job | undefined {
    return this.#jobs.findLast((job) => job.running);
  }

  /** Resolves when the server accepts connections. */
  async start(): Promise<void> {
    if (this.#current !== undefined) return;
    const job = this.#space.start(this.#options.command);
    this.#jobs.push(job);
    const listening = (line: string): boolean => /listening on/i.test(line);
    try {
      await Promise.any([job.stdout.until(listening), job.stderr.until(listening)]);
    } catch {
      throw new Error(`${this.name} does not start:\n${job.stderr.all.join('\n')}`);
    }
  }

  /** An outage: connections are refused until `start` is called. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#current?.stop(signal);
  }

  /** The requests since `forget` was last called, in the order they were logged. */
  async requests(): Promise<R[]> {
    return (await this.#everything()).slice(this.#forgotten);
  }

  async forget(): Promise<void> {
    this.#forgotten = (await this.#everything()).length;
  }

  async #everything(): Promise<R[]> {
    await this.#settle();
    return this.#jobs
      .flatMap((job) => job.stdout.all)
      .map((line) => this.#options.parse(line))
      .filter((request) => request !== undefined)
      .filter((request) => !request.path.startsWith(MARKER));
  }

  // A request's line is written after its answer. One more request, made now, has its line after all of those.
  async #settle(): Promise<void> {
    const job = this.#current;
    if (job === undefined) {
      await Promise.all(this.#jobs.map((ended) => ended.exited));
      return;
    }
    const marker = `${MARKER}${randomUUID()}`;
    const resolve = `${this.host}:443:${this.address}`;
    const url = `https://${this.host}${marker}`;
    await this.#space.run(['curl', '-sk', '--noproxy', '*', '--resolve', resolve, '-o', '/dev/null', url]);
    await job.stdout.until((line) => line.includes(marker));
  }
}
