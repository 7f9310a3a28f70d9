import { BreakwaterError } from '../registry/errors.ts';
import { isManifestMediaType, parseMediaType } from '../registry/media-type.ts';
import { parseContentRange } from '../registry/range.ts';
import type { RegistryHost } from '../registry/registry-host.ts';
import type { RepositoryName } from '../registry/name.ts';
import type { Visibility } from '../registry/visibility.ts';
import type { FillBody, FillSource } from '../store/fill.ts';
import { upstreamFailure } from '../upstream/failure.ts';
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

/**
 * The bytes of an object as upstream gives them, from any offset on; redirects are followed anew each time,
 * as the address that the first one led to may have expired.
 * @param onOpened told of the first answer, before any byte is read.
 */
export function objectSource(
  upstream: Upstream,
  request: ObjectRequest,
  onOpened: (answer: UpstreamAnswer) => void,
): FillSource {
  let visibility: Visibility = 'own';
  return async (offset) => {
    const ask: UpstreamRequest = {
      registry: request.registry,
      repository: request.repository,
      method: 'GET',
      path: request.path,
      headers: offset === 0 ? request.headers : { ...request.headers, range: `bytes=${offset}-` },
      identity: request.identity,
      follow: true,
    };
    let answer = await upstream.ask(ask);
    if (answer.status === 401 && offset > 0 && visibility === 'public') {
      // the client's anonymous token expired on the way; the proxy can get one of its own
      answer.body.destroy();
      answer = await upstream.ask({ ...ask, identity: PROXY_IDENTITY });
    }
    if (answer.status !== 200 && !(answer.status === 206 && offset > 0)) throw await toRefusal(answer);
    if (offset === 0) {
      ({ visibility } = answer);
      onOpened(answer);
    }
    return toBody(answer, offset, request.kind);
  };
}

/** Reads what upstream says of an answer's place and size in the object. */
export function toBody(answer: UpstreamAnswer, offset: number, kind: 'blob' | 'manifest'): FillBody {
  const { body } = answer;
  const type = mediaTypeOf(answer);
  const common = {
    mediaType: kind === 'manifest' || (type !== undefined && isManifestMediaType(type)) ? type : undefined,
    chunks: chunksOf(answer),
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

async function* chunksOf(answer: UpstreamAnswer): AsyncGenerator<Uint8Array> {
  try {
    yield* answer.body;
  } catch (thrown) {
    throw upstreamFailure(thrown, answer.host);
  }
}
