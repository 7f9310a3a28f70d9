import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';

/** A request that a scripted server saw, and what became of its answer. */
export interface RecordedRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** With its question mark; empty where there is none. */
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  /** What a form sent; empty where there was none. */
  readonly form: URLSearchParams;
  /** `performance.now()` when its headers were there. */
  readonly at: number;
  /** Undefined until the headers of the answer were sent. */
  readonly status: number | undefined;
  /** Bytes of body handed to the kernel. */
  readonly bytesSent: number;
  /** True where the other side left before the answer was complete. */
  readonly aborted: boolean;
  /** Settles when the answer is over, however it ended. */
  readonly closed: Promise<void>;
}

/** What the server writes of it. */
export interface MutableRecord extends RecordedRequest {
  form: URLSearchParams;
  status: number | undefined;
  bytesSent: number;
  aborted: boolean;
  /** Set where the script itself ends the connection. */
  cut: boolean;
}

export interface RequestMatch {
  readonly method?: string;
  /** The path without its query; the whole of it where it is text. */
  readonly path?: string | RegExp;
}

export function matches(
  match: RequestMatch,
  { method, path }: Pick<RecordedRequest, 'method' | 'path'>,
): boolean {
  if (match.method !== undefined && match.method !== method) return false;
  if (match.path === undefined) return true;
  return typeof match.path === 'string' ? match.path === path : match.path.test(path);
}

/** All requests in the order they came, and a way to wait for the next. */
export interface RequestLog {
  readonly all: readonly RecordedRequest[];
  add(request: IncomingMessage, response: ServerResponse): MutableRecord;
  count(match?: RequestMatch): number;
  find(match?: RequestMatch): RecordedRequest[];
  /** The first request that matches and was not given by an earlier call; waits where there is none yet. */
  next(match?: RequestMatch): Promise<RecordedRequest>;
  /** Forgets what came so far. */
  forget(): void;
}

interface Waiter {
  readonly match: RequestMatch;
  readonly resolve: (request: RecordedRequest) => void;
}

export function createRequestLog(): RequestLog {
  let all: RecordedRequest[] = [];
  const unclaimed = new Set<RecordedRequest>();
  const waiters = new Set<Waiter>();
  const find = (match: RequestMatch = {}): RecordedRequest[] =>
    all.filter((request) => matches(match, request));
  return {
    get all() {
      return all;
    },
    add(request, response) {
      const record = toRecord(request, response);
      all.push(record);
      const waiter = [...waiters].find(({ match }) => matches(match, record));
      if (waiter === undefined) {
        unclaimed.add(record);
      } else {
        waiters.delete(waiter);
        waiter.resolve(record);
      }
      return record;
    },
    find,
    count: (match) => find(match).length,
    next(match = {}) {
      const found = [...unclaimed].find((request) => matches(match, request));
      if (found !== undefined) {
        unclaimed.delete(found);
        return Promise.resolve(found);
      }
      return new Promise((resolve) => void waiters.add({ match, resolve }));
    },
    forget() {
      all = [];
      unclaimed.clear();
    },
  };
}

function toRecord(request: IncomingMessage, response: ServerResponse): MutableRecord {
  const url = request.url ?? '/';
  const question = url.indexOf('?');
  const record: MutableRecord = {
    method: request.method ?? '',
    path: question < 0 ? url : url.slice(0, question),
    query: question < 0 ? '' : url.slice(question),
    headers: request.headers,
    form: new URLSearchParams(),
    at: performance.now(),
    status: undefined,
    bytesSent: 0,
    aborted: false,
    cut: false,
    closed: new Promise((resolve) => {
      response.once('close', () => {
        record.aborted = !response.writableFinished && !record.cut;
        resolve();
      });
    }),
  };
  return record;
}
