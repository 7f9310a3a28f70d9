import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Credentials } from '../users.ts';
import { basicPair, clientEnv, type ClientSettings } from './client.ts';

export interface CurlRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly credentials?: Credentials;
  readonly http2?: boolean;
  readonly body?: string;
  /** More of curl's own flags. */
  readonly flags?: readonly string[];
}

export interface CurlResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly httpVersion: string;
  readonly seconds: number;
}

interface CurlReport {
  readonly response_code: number;
  readonly http_version: string;
  readonly time_total: number;
}

/** One request each time: no login flow and no redirects unless its flags ask for them. */
export class Curl {
  readonly #settings: ClientSettings;

  constructor(settings: ClientSettings) {
    this.#settings = settings;
  }

  async request(url: string, options: CurlRequest = {}): Promise<CurlResponse> {
    const folder = join(this.#settings.folder, 'curl');
    await mkdir(folder, { recursive: true });
    const file = join(folder, randomUUID());
    const headers = Object.entries(options.headers ?? {}).flatMap(([name, value]) => [
      '-H',
      `${name}: ${value}`,
    ]);
    const args = [
      '--silent',
      '--show-error',
      '--output',
      file,
      '--write-out',
      '%{header_json}\n\n%{json}',
      options.http2 === true ? '--http2' : '--http1.1',
      ...(options.method === 'HEAD' ? ['--head'] : ['--request', options.method ?? 'GET']),
      ...(options.credentials === undefined ? [] : ['--user', basicPair(options.credentials)]),
      ...(options.body === undefined ? [] : ['--data-binary', options.body]),
      ...headers,
      ...(options.flags ?? []),
    ];
    const env = await clientEnv(this.#settings);
    // Debian's curl looks at SSL_CERT_DIR before SSL_CERT_FILE, so it is told by flags.
    const trust = ['--cacert', this.#settings.ca, '--capath', env['SSL_CERT_DIR'] ?? ''];
    const { stdout } = await this.#settings.space.run(['curl', ...trust, ...args, url], { env });
    const body =
      options.method === 'HEAD' ? Buffer.alloc(0) : await readFile(file).catch(() => Buffer.alloc(0));
    await rm(file, { force: true });
    const [head = '', report = ''] = stdout.toString().split('\n\n');
    // The format of `%{header_json}` and `%{json}` is curl's.
    const lists = JSON.parse(head) as Record<string, string[]>;
    const { response_code, http_version, time_total } = JSON.parse(report) as CurlReport;
    return {
      status: response_code,
      headers: Object.fromEntries(Object.entries(lists).map(([name, values]) => [name, values.join(', ')])),
      body,
      httpVersion: http_version,
      seconds: time_total,
    };
  }
}
