import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { sha256Of } from '../upstream/content.ts';
import { createPullClient, type Pulled } from '../upstream/pull-client.ts';
import { cacheStatus } from '../upstream/paths.ts';
import { startScriptedRegistry, type ScriptedRegistry } from '../upstream/scripted-registry.ts';
import { startProxy, type ProxyProcess } from '../upstream/start-proxy.ts';
import { createStock, type Stock, type Target } from './stock.ts';

export interface CrashOptions {
  readonly kills: number;
  /** Decides what is pulled, and when the proxy is killed; the machine's own moods remain. */
  readonly seed: number;
  readonly onKill?: (kill: number) => void;
}

/** What happened; a run in which nothing did proves nothing. */
export interface CrashReport {
  readonly kills: number;
  readonly hits: number;
  readonly misses: number;
  /** Answers that a kill cut. */
  readonly cut: number;
  /** Requests by which the proxy went on with what it had of a blob. */
  readonly resumed: number;
  /** Objects that were known to be stored before a kill. */
  readonly published: number;
}

/** Clients that pull at the same time. */
const CLIENTS = 6;
/** Bytes a second that upstream gives of a blob. */
const RATE = 12 * 1024 * 1024;
const LONGEST_LIFE_MS = 700;
/** One kill in so many falls on a proxy that is only starting. */
const EARLY = 6;

/**
 * Kills the proxy again and again while clients pull, and looks after each kill whether anything wrong was served,
 * lost or left behind.
 * @throws what was found wrong.
 */
export async function crashRun({ kills, seed, onKill }: CrashOptions): Promise<CrashReport> {
  const random = createRandom(seed);
  await using registry = await startScriptedRegistry();
  await using proxy = await startProxy({ registries: [registry] });
  const stock = createStock(registry, seed);
  const counts = { hits: 0, misses: 0, cut: 0 };
  /** Digests that a client was given from the cache. */
  const published = new Set<string>();
  registry.on({ path: /\/blobs\// }, { rate: RATE });

  function judge(target: Target, pulled: Pulled): void {
    const seen = `${target.path} (${pulled.status}, ${pulled.bytes} bytes, ${cacheStatus(pulled) ?? 'no'} status)`;
    if (pulled.status === 0) return; // the kill came first
    insist(pulled.status === 200, `refused: ${seen}: ${pulled.body.toString()}`);
    insist(pulled.sha256 === sha256Of(target.content, 0, pulled.bytes), `wrong bytes: ${seen}`);
    if (!pulled.complete) {
      counts.cut += 1;
      return;
    }
    insist(pulled.bytes === target.content.size, `a part was given as the whole: ${seen}`);
    counts[cacheStatus(pulled) === 'MISS' ? 'misses' : 'hits'] += 1;
    if (cacheStatus(pulled) === 'HIT') published.add(target.content.digest);
  }

  /** One client that pulls one thing after the other until it is told to stop. */
  async function pullOn(stop: AbortSignal): Promise<void> {
    using client = createPullClient(proxy, registry.host);
    while (!stop.aborted) {
      const target = stock.pick(random);
      judge(target, await client.get(target.path, { headers: target.headers }));
    }
  }

  for (let kill = 0; kill < kills; kill += 1) {
    stock.renew();
    const stop = new AbortController();
    const clients = Array.from({ length: CLIENTS }, () => pullOn(stop.signal));
    await Promise.race([delay(30 + random() * LONGEST_LIFE_MS), Promise.all(clients)]);
    stop.abort();
    await proxy.kill();
    await Promise.all(clients);
    await inspect(proxy, stock, published);
    if (kill % EARLY === EARLY - 1) await killEarly(proxy, random() * LONGEST_LIFE_MS);
    await proxy.start();
    onKill?.(kill + 1);
  }
  await finish(proxy, registry, stock, judge);
  const resumed = registry.requests.all.filter(({ headers }) => headers.range !== undefined).length;
  return { kills, ...counts, resumed, published: published.size };
}

async function killEarly(proxy: ProxyProcess, after: number): Promise<void> {
  const starting = proxy.start().catch(() => undefined); // it was killed
  await delay(after);
  await proxy.kill();
  await starting;
}

/** Looks at what a dead proxy left. */
async function inspect({ cacheDir }: ProxyProcess, stock: Stock, published: Set<string>): Promise<void> {
  const blobs = await storedIn(cacheDir);
  for (const digest of published) insist(blobs.includes(digest), `lost: ${digest}`);
  await Promise.all(
    blobs.map(async (digest) => {
      const [algorithm = '', hex = ''] = digest.split(':');
      const hash = createHash(algorithm);
      await pipeline(createReadStream(join(cacheDir, 'blobs', algorithm, hex)), hash);
      insist(hash.digest('hex') === hex, `does not hash to its name: ${digest}`);
      insist(stock.knows(digest), `belongs to nothing: ${digest}`);
    }),
  );
}

/** Lets everything come to rest, and looks whether the index and the folders are as they should be. */
async function finish(
  proxy: ProxyProcess,
  registry: ScriptedRegistry,
  stock: Stock,
  judge: (target: Target, pulled: Pulled) => void,
): Promise<void> {
  for (const name of await proxy.files('partial')) {
    insist(stock.knows(name.replace('-', ':')), `a partial file that belongs to nothing: ${name}`);
  }
  using client = createPullClient(proxy, registry.host);
  for (const target of stock.all()) {
    const pulled = await client.get(target.path, { headers: target.headers });
    insist(pulled.complete, `not whole in the end: ${target.path}: ${pulled.error}`);
    judge(target, pulled);
    await proxy.stored(target.content);
  }
  const code = await proxy.stop();
  insist(code === 0, `the proxy ended with ${code}:\n${proxy.stderr}`);
  const partials = await proxy.files('partial');
  insist(partials.length === 0, `partial files in the end: ${partials.join(' ')}`);
  const blobs = (await storedIn(proxy.cacheDir)).sort();
  using index = new DatabaseSync(join(proxy.cacheDir, 'index.sqlite'), { readOnly: true });
  const rows = index.prepare('SELECT digest FROM objects ORDER BY digest').all();
  const indexed = rows.map(({ digest }) => String(digest));
  insist(
    indexed.join() === blobs.join(),
    `the index and the disk differ: ${indexed.length}, ${blobs.length}`,
  );
}

async function storedIn(cacheDir: string): Promise<string[]> {
  const found = ['sha256', 'sha512'].map(async (algorithm) =>
    (await readdir(join(cacheDir, 'blobs', algorithm))).map((hex) => `${algorithm}:${hex}`),
  );
  return (await Promise.all(found)).flat();
}

function insist(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

/** Numbers from 0 up to 1 that the seed decides (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
