import { textContent, type Blob } from './content.ts';
import type { Guard } from './guard.ts';
import type { Image, Manifest } from './image.ts';
import { errorAnswer, type Answer } from './reply.ts';
import type { RecordedRequest } from './recorded-request.ts';
import { startScriptedServer, type ScriptedServer, type ServerOptions } from './scripted-server.ts';

interface Published {
  readonly repository: string;
  /** Tags that mean the manifest. */
  readonly tags?: readonly string[];
  readonly manifest?: Manifest;
  /** Further manifests that are there by digest. */
  readonly manifests?: readonly Manifest[];
  readonly blobs?: readonly Blob[];
}

/** A registry whose right answers are those of the distribution spec. */
export interface ScriptedRegistry extends ScriptedServer {
  put(published: Published): void;
  /** Publishes an image with all its parts. */
  putImage(repository: string, image: Image, ...tags: readonly string[]): void;
  /** Asks for credentials from now on. */
  protect(guard: Guard): void;
  /** What its guard says to a request. */
  readonly refusal: Guard;
}

interface Repository {
  readonly tags: Map<string, Manifest>;
  readonly manifests: Map<string, Manifest>;
  readonly blobs: Map<string, Blob>;
}

const PATH = /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^/]+)$/;

export async function startScriptedRegistry(options: ServerOptions = {}): Promise<ScriptedRegistry> {
  const server = await startScriptedServer(options);
  const repositories = new Map<string, Repository>();
  let guard: Guard = () => undefined;

  server.handle((request) => {
    if (!request.path.startsWith('/v2/')) return undefined;
    const [, repository, kind = '', reference = ''] = PATH.exec(request.path) ?? [];
    const refused = guard(request, repository);
    if (refused !== undefined) return refused;
    if (request.path === '/v2/') return json({});
    if (request.path === '/v2/_catalog') return json({ repositories: [...repositories.keys()] });
    const found = repository === undefined ? undefined : repositories.get(repository);
    if (found === undefined) return errorAnswer(404, 'NAME_UNKNOWN');
    return fromRepository(found, kind, reference, request);
  });

  const put: ScriptedRegistry['put'] = ({ repository, tags = [], manifest, manifests = [], blobs = [] }) => {
    const entry = repositories.get(repository) ?? { tags: new Map(), manifests: new Map(), blobs: new Map() };
    repositories.set(repository, entry);
    for (const blob of blobs) entry.blobs.set(blob.digest, blob);
    for (const one of manifests) entry.manifests.set(one.digest, one);
    if (manifest === undefined) return;
    entry.manifests.set(manifest.digest, manifest);
    for (const tag of tags) entry.tags.set(tag, manifest);
  };

  return {
    ...server,
    put,
    putImage(repository, { manifest, config, layers }, ...tags) {
      put({ repository, tags, manifest, blobs: [config, ...layers] });
    },
    protect(next) {
      guard = next;
    },
    refusal: (request, repository) => guard(request, repository),
  };
}

function fromRepository(
  { tags, manifests, blobs }: Repository,
  kind: string,
  reference: string,
  { query }: RecordedRequest,
): Answer {
  const manifest = tags.get(reference) ?? manifests.get(reference);
  switch (kind) {
    case 'manifests':
      return manifest === undefined
        ? errorAnswer(404, 'MANIFEST_UNKNOWN')
        : entity(manifest, manifest.mediaType);
    case 'blobs': {
      const blob = blobs.get(reference);
      if (blob !== undefined) return entity(blob, 'application/octet-stream');
      return manifest === undefined ? errorAnswer(404, 'BLOB_UNKNOWN') : entity(manifest, manifest.mediaType);
    }
    case 'tags':
      return json({ name: 'scripted', tags: [...tags.keys()], query });
    default:
      return json({ schemaVersion: 2, manifests: [], query });
  }
}

function entity(blob: Blob, type: string): Answer {
  return {
    status: 200,
    headers: {
      'accept-ranges': 'bytes',
      'content-type': type,
      'docker-content-digest': blob.digest,
      'docker-distribution-api-version': 'registry/2.0',
      etag: `"${blob.digest}"`,
    },
    content: blob,
  };
}

function json(value: unknown): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'docker-distribution-api-version': 'registry/2.0' },
    content: textContent(JSON.stringify(value)),
  };
}
