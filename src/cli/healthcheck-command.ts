import { get } from 'node:http';
import { text } from 'node:stream/consumers';
import type { AdminListen } from '../config/admin-listen.ts';
import { EXIT, type Command } from './command.ts';
import { failureOf, failureText } from './failure-text.ts';
import { loadSettings } from './setting-flags.ts';

/** Milliseconds in which a proxy that is well has answered. */
const PATIENCE_MS = 3_000;
/** Where a listener on every address is reached from the same machine. */
const LOOPBACK: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
const MEND = 'See the log of the proxy; ADMIN_LISTEN has to be what it was started with.';

/** `breakwater healthcheck`. */
export const HEALTHCHECK: Command = {
  name: ['healthcheck'],
  summary: 'Ask the proxy on this machine whether it is ready; for the health check of a container',
  flags: [],
  settings: true,
  examples: [
    { line: 'breakwater healthcheck', help: 'Exit code 0 where it is ready, 1 where it is not' },
    { line: 'ADMIN_LISTEN=:9090 breakwater healthcheck', help: 'Of a proxy with another admin listener' },
  ],
  async run({ env, stdout, stderr }, flags) {
    try {
      // any other exit code than these two means nothing to Docker
      const answer = await readyz(loadSettings(env, flags).config.adminListen);
      stdout.write(answer.body);
      if (answer.ready) return EXIT.ok;
      stderr.write(failureText('the proxy is not ready', MEND));
    } catch (thrown) {
      stderr.write(failureOf(thrown).text);
    }
    return EXIT.failure;
  },
};

/** @throws nothing: a proxy that cannot be asked is not ready. */
async function readyz(listen: AdminListen): Promise<{ readonly ready: boolean; readonly body: string }> {
  if (listen === 'off') return { ready: false, body: 'ADMIN_LISTEN=off: there is nobody to ask\n' };
  const { promise, resolve } = Promise.withResolvers<{ ready: boolean; body: string }>();
  const { host, port } = listen;
  const request = get({
    host: LOOPBACK[host] ?? host,
    port,
    path: '/readyz',
    agent: false,
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const failed = (error: Error): void => resolve({ ready: false, body: `${error.message}\n` });
  request.once('error', failed);
  request.once('response', (response) => {
    text(response).then((body) => resolve({ ready: isReady(body), body }), failed);
  });
  return promise;
}

/** Another program may have the port: what answers must speak as the proxy does. */
function isReady(body: string): boolean {
  try {
    const report: unknown = JSON.parse(body);
    return typeof report === 'object' && report !== null && 'ready' in report && report.ready === true;
  } catch {
    return false;
  }
}
