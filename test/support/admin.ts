import { request, type IncomingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import { vi } from 'vitest';

interface AdminAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What an admin listener answers. */
export interface AdminClient {
  /** `host:port`. */
  readonly address: string;
  ask(path: string, headers?: Readonly<Record<string, string>>, method?: string): Promise<AdminAnswer>;
  /** The figures by the series they belong to, written as in the text format. */
  scrape(): Promise<ReadonlyMap<string, number>>;
}

/** A client of the admin listener that a proxy says it has. */
export async function adminOf(proxy: { readonly stderr: string }): Promise<AdminClient> {
  const address = await vi.waitFor(() => {
    const [, found] = /^ +admin +http:\/\/(\S+)$/m.exec(proxy.stderr) ?? [];
    if (found === undefined) throw new Error(`no admin listener was named:\n${proxy.stderr}`);
    return found;
  });
  const ask: AdminClient['ask'] = (path, headers = {}, method = 'GET') =>
    new Promise((resolve, reject) => {
      request(`http://${address}${path}`, { method, headers, agent: false }, (response) => {
        const { statusCode: status = 0 } = response;
        text(response).then((body) => resolve({ status, headers: response.headers, body }), reject);
      })
        .on('error', reject)
        .end();
    });
  return {
    address,
    ask,
    async scrape() {
      const { body } = await ask('/metrics');
      const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
      return new Map(
        lines.map((line) => {
          const space = line.lastIndexOf(' ');
          return [line.slice(0, space), Number(line.slice(space + 1))];
        }),
      );
    },
  };
}
