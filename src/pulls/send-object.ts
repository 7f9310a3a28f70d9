import { randomUUID } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { BreakwaterError } from '../registry/errors.ts';
import type { Digest } from '../registry/digest.ts';
import { etagOf, ifNoneMatch } from '../registry/etag.ts';
import {
  closingDelimiter,
  contentRange,
  ifRangeMatches,
  multipartHeader,
  multipartLength,
  parseRange,
  unsatisfiedContentRange,
  type ByteRange,
} from '../registry/range.ts';
import type { ByteSource } from '../store/store.ts';
import { cacheHeaders, type Exchange } from './exchange.ts';
import type { Pump } from './pump.ts';

/** What is said of an object in the headers of its answer. */
export interface ObjectFacts {
  readonly digest: Digest;
  /** Without parameters; blobs that were never seen as manifests are `application/octet-stream`. */
  readonly mediaType: string;
  readonly size: number | undefined;
}

/** Answers GET with an object or its ranges (RFC 9110, 14); the source is closed at the end. */
export type SendObject = (exchange: Exchange, facts: ObjectFacts, source: ByteSource) => Promise<void>;

/** A stretch of an answer's body: text that goes before, then bytes of the object, `end` exclusive. */
interface Part {
  readonly before?: string;
  readonly start: number;
  readonly end: number;
}

interface Plan {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly parts: readonly Part[];
  readonly after?: string;
}

export function createSendObject(pump: Pump): SendObject {
  return async (exchange, facts, source) => {
    const { request, response, outcome } = exchange;
    const onSent = (length: number): void => {
      outcome.bytesSent += length;
    };
    try {
      const { status, headers, parts, after } = plan(request, facts);
      response.writeHead(status, Object.assign(objectHeaders(exchange, facts), headers));
      const [part] = parts;
      if (source.bytes !== undefined && part !== undefined && parts.length === 1) {
        // as text the body goes into one write with the headers
        const body = source.bytes.toString('latin1', part.start, part.end);
        onSent(body.length);
        response.end(body, 'latin1');
      } else {
        // who waits for a growing object is told at once that it comes
        if (source.growing) response.flushHeaders();
        for (const { before, start, end } of parts) {
          if (before !== undefined) response.write(before);
          source.readUntil?.(end);
          await pump(source, start, end, response, onSent);
        }
        response.end(after);
      }
    } finally {
      source.close();
    }
  };
}

/** Answers HEAD from what is known. */
export function sendObjectHead(exchange: Exchange, facts: ObjectFacts): void {
  const { request, response } = exchange;
  const unchanged = ifNoneMatch(request.headers['if-none-match'], etagOf(facts.digest));
  response.writeHead(
    unchanged ? 304 : 200,
    Object.assign(objectHeaders(exchange, facts), lengthHeader(facts.size)),
  );
  response.end();
}

function plan(request: IncomingMessage, facts: ObjectFacts): Plan {
  const { digest, size } = facts;
  const etag = etagOf(digest);
  if (ifNoneMatch(request.headers['if-none-match'], etag)) return { status: 304, headers: {}, parts: [] };
  const counts = ifRangeMatches(request.headers['if-range']?.toString(), etag);
  // while the size is not known no range can be placed: the whole is a right answer to any
  if (!counts || size === undefined) return wholePlan(size);
  const asked = parseRange(request.headers.range, size);
  if (asked.kind === 'full') return wholePlan(size);
  if (asked.kind === 'unsatisfiable') {
    throw new BreakwaterError('RANGE_NOT_SATISFIABLE', 'no byte of the range exists', {
      headers: { 'Content-Range': unsatisfiedContentRange(size) },
    });
  }
  const [range] = asked.ranges;
  return range !== undefined && asked.ranges.length === 1
    ? rangePlan(range, size)
    : multipartPlan(asked.ranges, size, facts.mediaType);
}

function wholePlan(size: number | undefined): Plan {
  return { status: 200, headers: lengthHeader(size), parts: [{ start: 0, end: size ?? Infinity }] };
}

function rangePlan(range: ByteRange, size: number): Plan {
  const end = range.end + 1;
  return {
    status: 206,
    headers: { 'Content-Length': end - range.start, 'Content-Range': contentRange(range, size) },
    parts: [{ start: range.start, end }],
  };
}

function multipartPlan(ranges: readonly ByteRange[], size: number, mediaType: string): Plan {
  const boundary = randomUUID();
  return {
    status: 206,
    headers: {
      'Content-Type': `multipart/byteranges; boundary=${boundary}`,
      'Content-Length': multipartLength(boundary, ranges, size, mediaType),
    },
    parts: ranges.map((range) => ({
      before: multipartHeader(boundary, range, size, mediaType),
      start: range.start,
      end: range.end + 1,
    })),
    after: closingDelimiter(boundary),
  };
}

/** The headers of an object's answer, but for its length. */
function objectHeaders(exchange: Exchange, facts: ObjectFacts): OutgoingHttpHeaders {
  return {
    'Content-Type': facts.mediaType,
    'Docker-Content-Digest': facts.digest,
    'Docker-Distribution-Api-Version': 'registry/2.0',
    ETag: etagOf(facts.digest),
    'Accept-Ranges': 'bytes',
    ...cacheHeaders(exchange),
  };
}

function lengthHeader(size: number | undefined): OutgoingHttpHeaders {
  return size === undefined ? {} : { 'Content-Length': size };
}
