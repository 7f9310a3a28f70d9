import { Readable } from 'node:stream';
import { BreakwaterError } from '../registry/errors.ts';
import { isManifestMediaType, parseMediaType } from '../registry/media-type.ts';
import { parseContentRange, parseUnsatisfied } from '../registry/range.ts';
import type { RegistryHost } from '../registry/registry-host.ts';
import type { RepositoryName } from '../registry/name.ts';
import type { Visibility } from '../registry/visibility.ts';
import type { FillBody, FillSource } from '../store/fill.ts';
import { bodyChunks } from '../upstream/body-chunks.ts';
import { PROXY_IDENTITY, type Identity } from '../upstream/identity.ts';
import { toRefusal } from '../upstream/refusal.ts';
import type { Upstream, UpstreamAnswer, UpstreamRequest } from '../upstream/upstream.ts';

export interface ObjectRequest {
  readonly registry: RegistryHost;
  readonly repository: RepositoryName;
  readonly path: string;
  /** On the path of blobs a type says nothing unless it is a manifest's. */
  readonly kind: 'blob' | 'manifest';
  readonly headers: Readonly<Record<string, string>>;
  readonly identity: Identity;
}

/** Statuses by which an origin says that it has no ranges; some answer 200 instead. */
const NO_RANGES = new Set([400, 405, 416, 501]);

/** An object as upstream gives it to one client. */
export interface ObjectSource {
  /**
   * The bytes from any offset on; redirects are followed anew each time, as the address that the first one led
   * to may have expired.
   */
  readonly from: FillSource;
  /** The bytes from `start` up to `end`, exclusive; undefined where upstream has no ranges. */
  stretch(start: number, end: number): Promise<FillSource | undefined>;
}

/** @param onOpened told of the first answer of `from`, before any byte is read. */
export function createObjectSource(
  upstream: Upstream,
  request: ObjectRequest,
  onOpened: (answer: UpstreamAnswer) => void,
): ObjectSource {
  const { registry, repository, path, headers, identity, kind } = request;
  let visibility: Visibility | undefined;

  async function ask(range: string | undefined): Promise<UpstreamAnswer> {
    const question: UpstreamRequest = {
      registry,
      repository,
      method: 'GET',
      path,
      headers: range === undefined ? headers : { ...headers, range },
      identity,
      follow: true,
    };
    const answer = await upstream.ask(question);
    if (answer.status !== 401 || visibility !== 'public') return answer;
    // the client's anonymous token expired on the way; the proxy can get one of its own
    answer.body.destroy();
    return upstream.ask({ ...question, identity: PROXY_IDENTITY });
  }

  return {
    async from(offset) {
      let answer = await ask(offset === 0 ? undefined : `bytes=${offset}-`);
      // nothing is left to fetch where a part was whole, and only its end was not seen
      const atEnd = offset > 0 && isEnd(answer, offset);
      if (offset > 0 && !atEnd && NO_RANGES.has(answer.status)) {
        answer.body.destroy();
        answer = await ask(undefined);
      }
      const given = answer.status === 200 || (offset > 0 && answer.status === 206);
      if (!given && !atEnd) throw await toRefusal(answer);
      if (visibility === undefined) {
        ({ visibility } = answer);
        onOpened(answer);
      }
      return atEnd ? emptyBody(answer, offset) : toBody(answer, offset, kind);
    },
    async stretch(start, end) {
      const open = async (from: number): Promise<FillBody | undefined> => {
        const answer = await ask(`bytes=${from}-${end - 1}`);
        if (answer.status === 206) return toBody(answer, from, kind);
        answer.body.destroy();
        return undefined;
      };
      let first = await open(start);
      if (first === undefined) return undefined;
      return async (offset) => {
        const body = offset === start && first !== undefined ? first : await open(offset);
        first = undefined;
        if (body === undefined)
          throw new BreakwaterError('UPSTREAM_RESET', `${registry.name} has no ranges any more`);
        return body;
      };
    },
  };
}

function isEnd({ status, headers }: UpstreamAnswer, offset: number): boolean {
  return status === 416 && parseUnsatisfied(String(headers['content-range'])) === offset;
}

function emptyBody({ body }: UpstreamAnswer, size: number): FillBody {
  body.destroy();
  return { start: size, size, mediaType: undefined, chunks: Readable.from([]), cancel: () => undefined };
}

/** Reads what upstream says of an answer's place and size in the object. */
export function toBody(answer: UpstreamAnswer, offset: number, kind: 'blob' | 'manifest'): FillBody {
  const { body } = answer;
  const type = mediaTypeOf(answer);
  const common = {
    mediaType: kind === 'manifest' || (type !== undefined && isManifestMediaType(type)) ? type : undefined,
    chunks: bodyChunks(body, answer.host),
    cancel: () => void body.destroy(),
  };
  if (answer.status === 200) return { ...common, start: 0, size: contentLength(answer) };
  const range = parseContentRange(String(answer.headers['content-range']));
  if (range === undefined || range.start > offset) {
    body.destroy();
    throw new BreakwaterError(
      'UPSTREAM_PROTOCOL',
      `${answer.host} answered 206 with another range than was asked for`,
    );
  }
  return { ...common, start: range.start, size: range.size };
}

export function mediaTypeOf(answer: UpstreamAnswer): string | undefined {
  const type = answer.headers['content-type'];
  return parseMediaType(typeof type === 'string' ? type : undefined);
}

export function contentLength(answer: UpstreamAnswer): number | undefined {
  const text = answer.headers['content-length'];
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
