import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { craftImage } from '../upstream/image.ts';
import { createPullClient } from '../upstream/pull-client.ts';
import { startScriptedRegistry } from '../upstream/scripted-registry.ts';
import { startProxy, type ProxyProcess } from '../upstream/start-proxy.ts';
import { makeInput, type Input } from './inputs.ts';
import { createRandom } from './random.ts';

export interface FuzzOptions {
  readonly inputs: number;
  /** Decides every input; in which order they meet is the machine's. */
  readonly seed: number;
  readonly onBatch?: (done: number, memory: number, descriptors: number) => void;
}

/** What happened; a run in which nothing was answered proves nothing. */
export interface FuzzReport {
  /** Answers by the first digit of their status, and `none`. */
  readonly answers: Readonly<Record<string, number>>;
  readonly descriptors: { readonly before: number; readonly after: number };
  /** MiB of RSS when a third of the inputs were sent, and at the end. */
  readonly memory: { readonly early: number; readonly late: number };
}

const MIB = 2 ** 20;
const AT_ONCE = 128;
/** How long the proxy may keep a connection whose client ended its side. */
const STUCK_MS = 20_000;
/** How long a client waits for an answer when it has sent all. */
const WAITS_MS = { wait: 500, end: STUCK_MS, reset: 2 } as const;

/**
 * Sends malformed and half-malformed bytes to a running proxy, and looks whether it lives, answers, fails at nothing
 * and keeps nothing.
 * @throws what was found wrong.
 */
export async function fuzzRun({ inputs, seed, onBatch }: FuzzOptions): Promise<FuzzReport> {
  const random = createRandom(seed);
  await using registry = await startScriptedRegistry();
  await using proxy = await startProxy({
    registries: [registry],
    env: {
      ALLOW_PUSH: 'true',
      CLIENT_HEADER_TIMEOUT: '1s',
      CLIENT_BODY_TIMEOUT: '1s',
      KEEPALIVE_TIMEOUT: '1s',
      TUNNEL_ALLOW: '127.0.0.1:1',
    },
  });
  registry.putImage('team/app', craftImage({ seed: 'fuzz', layers: [5_000] }), '1');
  await insistItServes(proxy, registry.host);
  const answers: Record<string, number> = {};
  const before = descriptorsOf(proxy);
  let early = 0;
  let sent = 0;

  async function sendOn(): Promise<void> {
    while (sent < inputs) {
      sent += 1;
      const number = sent;
      const input = makeInput(random, registry.host);
      const answer = await send(proxy, registry.host, input);
      const described = `input ${number} of seed ${seed}: ${input.way} ${JSON.stringify(input.bytes.toString('latin1').slice(0, 2_000))}`;
      insist(answer !== 'stuck', `the connection was kept: ${described}`);
      insist(!/^HTTP\/1\.1 500 /m.test(answer), `a failure inside: ${described}\n${answer.slice(0, 1_000)}`);
      const [, digit = 'none'] = /^HTTP\/1\.1 (\d)/.exec(answer) ?? [];
      answers[digit] = (answers[digit] ?? 0) + 1;
      if (number === Math.ceil(inputs / 3)) early = proxy.rss().now / MIB;
      if (number % 5_000 === 0) onBatch?.(number, proxy.rss().now / MIB, descriptorsOf(proxy));
    }
  }

  await Promise.all(Array.from({ length: AT_ONCE }, sendOn));
  await insistItServes(proxy, registry.host);
  await registry.close(); // ends the proxy's idle connections with it
  // what a client left in the middle is waited for as long as the settings say
  const deadline = performance.now() + STUCK_MS;
  while (descriptorsOf(proxy) > before + 4 && performance.now() < deadline) await delay(100);
  const after = descriptorsOf(proxy);
  insist(after <= before + 4, `connections are left: ${before} descriptors before, ${after} after`);
  const late = proxy.rss().now / MIB;
  insist(
    !/"level":"(error|fatal)"/.test(proxy.stderr),
    `the proxy complains:\n${proxy.stderr.slice(-5_000)}`,
  );
  return { answers, descriptors: { before, after }, memory: { early, late } };
}

/** Sends an input; gives what came back, or `stuck`. */
async function send(proxy: ProxyProcess, host: string, input: Input): Promise<string> {
  const raw = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
  raw.on('error', () => raw.destroy());
  try {
    const socket = await way(raw, proxy, host, input.way);
    return socket === undefined ? '' : await converse(socket, raw, input);
  } finally {
    raw.destroy();
  }
}

async function converse(socket: Duplex, raw: Socket, { bytes, pieces, end }: Input): Promise<string> {
  const received: Buffer[] = [];
  let isOver = false;
  const patience = new AbortController();
  socket.on('data', (chunk: Buffer) => {
    received.push(chunk);
    if (end === 'wait') patience.abort();
  });
  for (const event of ['end', 'close', 'error']) {
    socket.once(event, () => {
      isOver = true;
      patience.abort();
    });
  }
  socket.resume();
  const step = Math.ceil(bytes.length / pieces);
  for (let at = 0; at < bytes.length; at += step) {
    socket.write(bytes.subarray(at, at + step));
    if (pieces > 1) await delay(5);
  }
  if (end === 'end') socket.end();
  const { signal } = patience;
  if (!signal.aborted) await delay(WAITS_MS[end], undefined, { signal }).catch(() => undefined);
  if (end === 'reset') raw.resetAndDestroy();
  return end === 'end' && !isOver ? 'stuck' : Buffer.concat(received).toString('latin1');
}

const contexts = new WeakMap<ProxyProcess, ReturnType<typeof createSecureContext>>();

async function way(
  raw: Socket,
  proxy: ProxyProcess,
  host: string,
  kind: Input['way'],
): Promise<Duplex | undefined> {
  if (kind === 'port') return raw;
  raw.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await eitherOf(raw, 'data', 'close');
  raw.pause();
  if (kind === 'tunnel') return raw;
  const secureContext = contexts.get(proxy) ?? createSecureContext({ ca: proxy.ca });
  contexts.set(proxy, secureContext);
  const secure = connectTls({ socket: raw, servername: 'localhost', secureContext });
  secure.on('error', () => secure.destroy());
  await eitherOf(secure, 'secureConnect', 'close');
  return secure.destroyed ? undefined : secure;
}

/** Settles at the first of these events; errors are told by the close that follows. */
function eitherOf(socket: Socket, ...events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    for (const event of events) socket.once(event, () => resolve());
  });
}

async function insistItServes(proxy: ProxyProcess, host: string): Promise<void> {
  using client = createPullClient(proxy, host);
  const { status, error } = await client.get('/v2/team/app/tags/list');
  insist(status === 200, `the proxy does not serve: ${status} ${error ?? ''}\n${proxy.stderr.slice(-5_000)}`);
}

function descriptorsOf({ pid }: ProxyProcess): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function insist(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}
