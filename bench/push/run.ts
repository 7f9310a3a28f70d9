import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { randomContent, sha256Of } from '../../test/upstream/content.ts';
import { createPushClient } from '../../test/upstream/push-client.ts';
import { startProxy } from '../../test/upstream/start-proxy.ts';

const MIB = 1024 * 1024;
const USAGE = `node bench/push/run.ts [--size MIB] [--rate MIB] [--streamed]
Pushes one layer through the proxy to a registry that takes --rate MiB a second, and compares what arrives.
Without flags: 5120 MiB at 1 MiB/s, spooled, which takes 85 minutes and 5 GiB of disk.`;

/** A registry that takes one blob at a rate and keeps nothing but its hash. */
async function startSink(rate: number) {
  let sha256 = '';
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const hash = createHash('sha256');
    const began = performance.now();
    let bytes = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      hash.update(chunk);
      await delay(Math.max(0, (bytes / rate) * 1000 - (performance.now() - began)));
    }
    if (request.method === 'PATCH') sha256 = hash.digest('hex');
    const isLast = request.method === 'PUT';
    response.writeHead(isLast ? 201 : 202, {
      location: '/v2/a/blobs/uploads/1?_state=1',
      'content-length': 0,
    });
    response.end();
  }
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.requestTimeout = 0;
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: `localhost:${port}`,
    tls: false,
    sha256: () => sha256,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function run(size: number, rate: number, streamed: boolean): Promise<string> {
  const sink = await startSink(rate);
  const proxy = await startProxy({
    registries: [sink],
    env: { ALLOW_PUSH: 'true', PROXY_REQUEST_BUFFERING: String(!streamed) },
  });
  const client = createPushClient(proxy, sink.host);
  try {
    const body = randomContent('a layer', size);
    const before = proxy.rss().now;
    const began = performance.now();
    const { headers } = await client.send('POST', '/v2/a/blobs/uploads/');
    const patched = await client.send('PATCH', headers.location ?? '', { body, chunked: true });
    const digest = sha256Of(body);
    const put = await client.send('PUT', `${patched.headers.location}&digest=sha256:${digest}`);
    const seconds = Math.round((performance.now() - began) / 1000);
    if (put.status !== 201)
      throw new Error(`${patched.status} ${patched.body.toString()}, then ${put.status}`);
    if (sink.sha256() !== digest) throw new Error('what arrived is not what was pushed');
    const grown = Math.round((proxy.rss().peak - before) / MIB);
    return `${size / MIB} MiB ${streamed ? 'streamed' : 'spooled'} in ${seconds} s; the proxy grew by ${grown} MiB\n`;
  } finally {
    client[Symbol.dispose]();
    await proxy[Symbol.asyncDispose]();
    sink.close();
  }
}

try {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: '5120' },
      rate: { type: 'string', default: '1' },
      streamed: { type: 'boolean', default: false },
    },
  });
  process.stdout.write(await run(Number(values.size) * MIB, Number(values.rate) * MIB, values.streamed));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}\n`);
  process.exitCode = 1;
}
