import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { randomBlob, sha256Of, type Blob } from '../../test/upstream/content.ts';
import { ANY_MANIFEST, craftImage } from '../../test/upstream/image.ts';
import { blobPath, manifestPath } from '../../test/upstream/paths.ts';
import { createPullClient, type PullClient, type Pulled } from '../../test/upstream/pull-client.ts';
import { startScriptedRegistry, type ScriptedRegistry } from '../../test/upstream/scripted-registry.ts';
import { startProxy, type ProxyProcess } from '../../test/upstream/start-proxy.ts';

export interface SoakOptions {
  readonly clients: number;
  readonly seconds: number;
  readonly onSample?: (sample: Sample) => void;
}

/** What the proxy takes at a time. */
interface Sample {
  /** Seconds since the load began. */
  readonly at: number;
  readonly rss: number;
  readonly descriptors: number;
  readonly sockets: number;
}

export interface SoakReport {
  readonly before: Sample;
  readonly samples: readonly Sample[];
  /** When the clients and the registry are gone. */
  readonly after: Sample;
  readonly counts: Readonly<Record<Action | 'failed', number>>;
}

const ACTIONS = ['warm', 'cold', 'range', 'tag', 'head', 'cancel', 'missing', 'reconnect'] as const;
type Action = (typeof ACTIONS)[number];

const KIB = 1024;
const WARM = 24;
/** One outage in so many seconds, each of the length below. */
const OUTAGE_EVERY = 20;
const OUTAGE_SECONDS = 3;
const CACHE = '256m';
/** Blobs that are in the registry at a time besides the warm ones, and are fetched but once or twice. */
const COLD = 64;
/** Milliseconds between two requests of a client, at most. */
const PAUSE = 400;
/** Seconds after the load in which all must be given back. */
const SETTLE = 30;

/**
 * Clients pull what is cached and what is not, whole, in ranges and by halves, while upstream is away now and then.
 * @throws where a client was given wrong bytes, or an answer is neither right nor of the outage.
 */
export async function soak({ clients, seconds, onSample }: SoakOptions): Promise<SoakReport> {
  await using registry = await startScriptedRegistry();
  await using proxy = await startProxy({
    registries: [registry],
    env: { CACHE_MAX_SIZE: CACHE, TAG_CHECK_INTERVAL: '1s', SHUTDOWN_TIMEOUT: '5s' },
  });
  const image = craftImage({ seed: 'soak', layers: [40 * KIB, 700 * KIB] });
  registry.putImage('soak/warm', image, '1');
  const warm = Array.from({ length: WARM }, (_, at) => randomBlob(`warm ${at}`, (1 + at) * 40 * KIB));
  registry.put({ repository: 'soak/warm', blobs: warm });
  const fresh = createFresh(registry);
  const counts: Record<string, number> = Object.fromEntries([...ACTIONS, 'failed'].map((name) => [name, 0]));
  const begun = performance.now();
  const elapsed = (): number => (performance.now() - begun) / 1000;
  const sample = (): Sample => sampleOf(proxy, elapsed());
  {
    using client = createPullClient(proxy, registry.host);
    for (const blob of warm) await client.get(blobPath('soak/warm', blob));
  }
  await delay(1_000);
  const before = sample();
  const samples: Sample[] = [];
  let outage = false;

  async function act(client: PullClient, action: Action): Promise<void> {
    const blob = pick(warm);
    const path = blobPath('soak/warm', blob);
    switch (action) {
      case 'warm':
        return judge(await client.get(path), blob);
      case 'cold': {
        const cold = fresh();
        return judge(await client.get(blobPath('soak/cold', cold)), cold);
      }
      case 'range': {
        const start = Math.floor(Math.random() * blob.size);
        return judge(await client.get(path, { range: `bytes=${start}-` }), blob, start);
      }
      case 'tag':
        return judge(
          await client.get(manifestPath('soak/warm', '1'), { headers: { accept: ANY_MANIFEST } }),
          image.manifest,
        );
      case 'head':
        await client.head(path);
        return;
      case 'cancel': {
        const cold = fresh();
        await client.get(blobPath('soak/cold', cold), {
          leaveAfter: 1 + Math.floor(Math.random() * cold.size),
        });
        return;
      }
      case 'missing':
        await client.get(manifestPath('soak/warm', 'none'));
        return;
      case 'reconnect':
        client.close();
    }
  }

  function judge({ status, sha256, bytes, complete, error }: Pulled, blob: Blob, start = 0): void {
    if (status >= 429 || !complete) {
      if (!outage) counts['failed'] = (counts['failed'] ?? 0) + 1;
      return;
    }
    const right = (status === 200 || status === 206) && sha256 === sha256Of(blob, start);
    if (!right)
      throw new Error(`wrong: ${status}, ${bytes} bytes of ${blob.digest} from ${start}: ${error ?? ''}`);
  }

  async function live(): Promise<void> {
    let client = createPullClient(proxy, registry.host);
    while (elapsed() < seconds) {
      const action = pick(ACTIONS);
      await act(client, action);
      counts[action] = (counts[action] ?? 0) + 1;
      if (action === 'reconnect') client = createPullClient(proxy, registry.host);
      await delay(Math.random() * PAUSE);
    }
    client.close();
  }

  async function watch(): Promise<void> {
    while (elapsed() < seconds) {
      await delay(Math.min(10_000, seconds * 20));
      const taken = sample();
      samples.push(taken);
      onSample?.(taken);
    }
  }

  async function failNowAndThen(): Promise<void> {
    while (elapsed() < seconds) {
      await delay((OUTAGE_EVERY - OUTAGE_SECONDS) * 1000);
      outage = true;
      const rule = registry.on(
        {},
        pick([{ status: 503 }, { cutAt: 'headers' }, { cutAt: 10 * KIB }] as const),
      );
      await delay(OUTAGE_SECONDS * 1000);
      rule.remove();
      await delay(1_000); // what began in it may still end
      outage = false;
    }
  }

  await Promise.all([...Array.from({ length: clients }, live), watch(), failNowAndThen()]);
  await registry.close();
  let after = sample();
  for (let second = 0; second < SETTLE && after.descriptors > before.descriptors; second += 1) {
    await delay(1_000);
    after = sample();
  }
  // the keys are those of the actions, and one more
  return { before, samples, after, counts: counts as SoakReport['counts'] };
}

/** A verdict on a run: what is wrong with it, nothing where it is well. */
export function faultsOf({ before, samples, after }: SoakReport, margin: number): readonly string[] {
  const third = Math.floor(samples.length / 3);
  const [middle, last] = [samples.slice(third, 2 * third), samples.slice(-third)].map((part) =>
    Math.max(...part.map(({ rss }) => rss)),
  );
  const grown = (last ?? Number.NaN) - (middle ?? Number.NaN);
  return [
    ...(grown <= margin ? [] : [`RSS grew by ${grown.toFixed(0)} MiB from the middle to the end`]),
    ...(after.sockets <= before.sockets ? [] : [`${after.sockets - before.sockets} sockets are left`]),
    ...(after.descriptors <= before.descriptors
      ? []
      : [`${after.descriptors - before.descriptors} descriptors are left`]),
  ];
}

function sampleOf(proxy: ProxyProcess, at: number): Sample {
  const folder = `/proc/${proxy.pid}/fd`;
  const open = readdirSync(folder).map((name) => {
    try {
      return readlinkSync(`${folder}/${name}`);
    } catch {
      return ''; // it was closed meanwhile
    }
  });
  const sockets = open.filter((target) => target.startsWith('socket:')).length;
  return { at, rss: proxy.rss().now / 2 ** 20, descriptors: open.length, sockets };
}

/** Blobs that nobody has asked for yet. */
function createFresh(registry: ScriptedRegistry): () => Blob {
  let made = 0;
  let blobs: Blob[] = [];
  return () => {
    if (blobs.length === 0) {
      blobs = Array.from({ length: COLD }, () =>
        randomBlob(`cold ${(made += 1)}`, (8 + Math.floor(Math.random() * 400)) * KIB),
      );
      registry.put({ repository: 'soak/cold', blobs });
    }
    return blobs.pop() ?? randomBlob('none', 1);
  };
}

function pick<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)]!;
}
