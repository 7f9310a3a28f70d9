import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { bufferContent } from './content.ts';
import type { MutableRecord } from './recorded-request.ts';
import { planAnswer, type Answer, errorAnswer } from './reply.ts';
import type { ScriptedRegistry } from './scripted-registry.ts';

/** How one upload is to go otherwise than right. */
export interface UploadScript {
  /** Bytes a second that are taken. */
  readonly rate?: number;
  /** Nothing is taken before this settles. */
  readonly after?: Promise<unknown>;
  /** The answer is given when this many bytes came; the rest is not taken. */
  readonly answerAt?: { readonly bytes: number; readonly answer: Answer };
  /** The connection is cut when this many bytes came. */
  readonly cutAt?: number;
  /** Nothing is answered before this settles. */
  readonly answerAfter?: Promise<unknown>;
}

/** What came of one request. */
interface Received {
  readonly record: MutableRecord;
  bytes: number;
  sha256: string | undefined;
}

/** The uploads of a registry: it takes them as the distribution spec has it, and puts into the registry what is whole. */
export interface UploadDesk {
  readonly received: readonly Received[];
  /** The text of the Location of an upload, made of its path. */
  location: (path: string) => string;
  script: (record: MutableRecord) => UploadScript;
}

const PATH = /^\/v2\/(.+)\/(?:blobs\/uploads\/([^/]*)|manifests\/([^/]+)|blobs\/[^/]+)$/;

export function acceptUploads(registry: ScriptedRegistry): UploadDesk {
  const received: Received[] = [];
  const sessions = new Map<string, Buffer[]>();
  const desk: UploadDesk = { received, location: (path) => path, script: () => ({}) };

  registry.take((request, response, record) => {
    if (request.method === 'GET' || request.method === 'HEAD') return false;
    const [, repository, upload, reference] = PATH.exec(record.path) ?? [];
    if (repository === undefined) return false;
    const entry: Received = { record, bytes: 0, sha256: undefined };
    received.push(entry);
    const refused = registry.refusal(record, repository);
    if (refused !== undefined) {
      send(response, record, refused);
      return true;
    }
    take(request, response, entry, desk.script(record)).then(
      (body) => {
        if (body !== undefined) send(response, record, accept(record, repository, upload, reference, body));
      },
      () => response.destroy(),
    );
    return true;
  });

  function accept(
    { method, query, headers }: MutableRecord,
    repository: string,
    upload: string | undefined,
    reference: string | undefined,
    body: Buffer,
  ): Answer {
    if (method === 'DELETE') return { status: 202, headers: {} };
    if (reference !== undefined) {
      const digest = digestOf(body);
      const manifest = { ...bufferContent(body), digest, mediaType: headers['content-type'] ?? '' };
      registry.put({ repository, manifest, tags: reference.includes(':') ? [] : [reference] });
      return { status: 201, headers: { 'docker-content-digest': digest } };
    }
    const parameters = new URLSearchParams(query);
    const mounted = parameters.get('mount');
    if (mounted !== null && parameters.get('from') !== null) {
      return { status: 201, headers: { location: desk.location(`/v2/${repository}/blobs/${mounted}`) } };
    }
    const id = upload === undefined || upload === '' ? randomUUID() : upload;
    const pieces = [...(sessions.get(id) ?? []), body];
    sessions.set(id, pieces);
    const claimed = parameters.get('digest');
    if (claimed === null) {
      const path = `/v2/${repository}/blobs/uploads/${id}?_state=${pieces.length}%2F&x=a+b`;
      return { status: 202, headers: { location: desk.location(path), range: '0-0' } };
    }
    const whole = Buffer.concat(pieces);
    if (digestOf(whole) !== claimed) return errorAnswer(400, 'DIGEST_INVALID');
    registry.put({ repository, blobs: [{ ...bufferContent(whole), digest: claimed }] });
    return {
      status: 201,
      headers: {
        location: desk.location(`/v2/${repository}/blobs/${claimed}`),
        'docker-content-digest': claimed,
      },
    };
  }

  return desk;
}

/** The whole body; undefined where the answer is given already, or none is to be. */
async function take(
  request: IncomingMessage,
  response: ServerResponse,
  entry: Received,
  { rate, after, answerAt, cutAt, answerAfter }: UploadScript,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  const hash = createHash('sha256');
  const began = performance.now();
  if (after !== undefined) await Promise.race([after, entry.record.closed]);
  for await (const chunk of request as AsyncIterable<Buffer>) {
    entry.bytes += chunk.length;
    chunks.push(chunk);
    hash.update(chunk);
    if (cutAt !== undefined && entry.bytes >= cutAt) {
      request.socket.destroy();
      return undefined;
    }
    if (answerAt !== undefined && entry.bytes >= answerAt.bytes) {
      send(response, entry.record, answerAt.answer);
      return undefined;
    }
    if (rate !== undefined)
      await delay(Math.max(0, (entry.bytes / rate) * 1000 - (performance.now() - began)));
  }
  entry.sha256 = hash.digest('hex');
  if (answerAfter !== undefined) await Promise.race([answerAfter, entry.record.closed]);
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, record: MutableRecord, answer: Answer): void {
  const { status, headers, content } = planAnswer(answer, {}, undefined);
  record.status = status;
  response.writeHead(status, headers);
  response.end(content === undefined ? undefined : Buffer.concat([...content.bytes()]));
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
