import type { Content } from './content.ts';

/** What a well-behaved server would answer to a request. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** The whole entity; a Range is cut out of it when the answer is sent. */
  readonly content?: Content;
}

/** How one answer is to differ from the right one. Offsets count the bytes of this answer's body. */
export interface Reply {
  readonly status?: number;
  /** Added to the right ones, or put in their place. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Headers left out, in lower case. */
  readonly omit?: readonly string[];
  readonly body?: Content;
  /** Milliseconds before the headers. */
  readonly latency?: number;
  /** The headers are sent when this settles. */
  readonly holdHeaders?: Promise<unknown>;
  /** The body stops at `at` until `until` settles. */
  readonly stall?: { readonly at: number; readonly until: Promise<unknown> };
  /** Bytes of body a second. */
  readonly rate?: number;
  /** The socket is destroyed after this many bytes of body; `'headers'`: before any header. */
  readonly cutAt?: number | 'headers';
  /** The body and the connection end in good order after this many bytes. */
  readonly endAt?: number;
  /** This many bytes too many follow the body; the announced length does not count them. */
  readonly extra?: number;
  /** This byte of the body is wrong. */
  readonly flipAt?: number;
  /** The Content-Length that is announced; `'none'` gives a chunked answer. */
  readonly contentLength?: number | 'none';
  /** What a Range header brings; the default is to honour it. */
  readonly ranges?: 'honour' | 'ignore' | 400 | 416 | 501;
  /** Header lines that add up to about this many bytes. */
  readonly padHeaders?: number;
  /** The lines of the head end with LF alone; the body follows and the connection ends. */
  readonly bareLf?: boolean;
}

/** An error answer as registries give it (distribution-spec, "Error Codes"). */
export function errorAnswer(status: number, code: string, headers: Reply['headers'] = {}): Answer {
  const body = Buffer.from(JSON.stringify({ errors: [{ code, message: code.toLowerCase(), detail: null }] }));
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    content: { size: body.length, bytes: (start = 0, end = body.length) => [body.subarray(start, end)] },
  };
}

export function redirectTo(location: string, status = 307): Reply {
  return {
    status,
    headers: { location },
    body: { size: 0, bytes: () => [] },
    omit: ['docker-content-digest', 'content-type', 'etag'],
  };
}

/** The answer that a reply makes of the right one, its Range applied. */
export interface Planned {
  readonly status: number;
  readonly headers: Record<string, string | string[]>;
  readonly content: Content | undefined;
  readonly start: number;
  readonly end: number;
}

const RANGE = /^bytes=(?:(\d+)-(\d*)|-(\d+))$/;

export function planAnswer(answer: Answer, reply: Reply, range: string | undefined): Planned {
  const status = reply.status ?? answer.status;
  const content = reply.body ?? answer.content;
  const size = content?.size ?? 0;
  let planned: Planned = { status, headers: { ...answer.headers }, content, start: 0, end: size };
  const { ranges = 'honour' } = reply;
  if (range !== undefined && status === 200 && content !== undefined && ranges !== 'ignore') {
    planned = typeof ranges === 'number' ? refused(ranges) : ranged(planned, range, size);
  }
  const { headers } = planned;
  headers['content-length'] = String(reply.contentLength ?? planned.end - planned.start);
  Object.assign(headers, reply.headers);
  if (reply.contentLength === 'none') delete headers['content-length'];
  for (const name of reply.omit ?? []) delete headers[name];
  const lines = Math.ceil((reply.padHeaders ?? 0) / 1024);
  for (let line = 0; line < lines; line += 1) headers[`x-pad-${line}`] = 'p'.repeat(1012);
  return planned;
}

function ranged(whole: Planned, range: string, size: number): Planned {
  const [, first, last, suffix] = RANGE.exec(range) ?? [];
  if (first === undefined && suffix === undefined) return whole;
  const start = first === undefined ? Math.max(0, size - Number(suffix)) : Number(first);
  const end = last === undefined || last === '' ? size : Math.min(size, Number(last) + 1);
  if (start >= end) {
    const planned = refused(416);
    planned.headers['content-range'] = `bytes */${size}`;
    return planned;
  }
  const headers = { ...whole.headers, 'content-range': `bytes ${start}-${end - 1}/${size}` };
  return { ...whole, status: 206, headers, start, end };
}

function refused(status: number): Planned {
  const { headers, content } = errorAnswer(status, 'RANGE_REFUSED');
  return { status, headers: { ...headers }, content, start: 0, end: content?.size ?? 0 };
}
