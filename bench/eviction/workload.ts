import { createRandom, createZipf, type Random } from './random.ts';

/** What a simulated registry's clients do; times in days, sizes in bytes. */
export interface Workload {
  readonly days: number;
  /** Repositories, popular by Zipf's law with this exponent. */
  readonly repositories: number;
  readonly alpha: number;
  /** Pulls of releases a day, beside the rollouts. */
  readonly pulls: number;
  /** Share of the pulls that want the newest release; each older one is half as wanted as the one after it. */
  readonly newest: number;
  /** Base images, popular by the same law, that releases, CI images and half of the scanned ones are built on. */
  readonly bases: number;
  /** Share of the pulls by machines that have the base's layers already. */
  readonly warmClients: number;
  /** A repository releases every so many days on average: log-uniform between these. */
  readonly releaseEvery: readonly [number, number];
  /** Median number of machines that pull a new release within the hour. */
  readonly rollout: number;
  readonly layers: { readonly base: number; readonly own: number };
  readonly layerSize: { readonly median: number; readonly sigma: number };
  /** CI images a day; each is pulled two to four times within two hours, then never again. */
  readonly ciImages: number;
  /** Images that a nightly job pulls once each, from 02:00 on, and how many hours it takes. */
  readonly scanned: number;
  readonly scanHours: number;
}

export const DEFAULT_WORKLOAD: Workload = {
  days: 14,
  repositories: 3_000,
  alpha: 0.9,
  pulls: 4_000,
  newest: 0.85,
  bases: 60,
  warmClients: 0.5,
  releaseEvery: [1, 30],
  rollout: 4,
  layers: { base: 3, own: 4 },
  layerSize: { median: 30e6, sigma: 1.3 },
  ciImages: 1_000,
  scanned: 2_000,
  scanHours: 1,
};

/** Requests in the order of their time; objects are numbered from 0. */
export interface Trace {
  readonly requests: Int32Array;
  /** Days since the start, per request. */
  readonly times: Float64Array;
  /** Bytes, per object. */
  readonly sizes: Float64Array;
  /** Bytes of all objects together. */
  readonly footprint: number;
  /** Bytes of the objects that are asked for more than once: all that a cache could ever have a hit in. */
  readonly workingSet: number;
}

interface Image {
  readonly manifest: number;
  readonly config: number;
  readonly base: readonly number[];
  readonly own: readonly number[];
}

interface Pull {
  readonly time: number;
  readonly image: Image;
  readonly withBase: boolean;
}

interface Release {
  readonly time: number;
  readonly image: Image;
}

const HOUR = 1 / 24;
const MAX_LAYER = 5e9;
/** A base image is rebuilt every so many days on average. */
const BASE_REBUILT = 14;
/** The chance that a release leaves a layer as it is, where all under it stayed. */
const LAYER_KEPT = 0.6;

export function generate(workload: Workload, seed: number): Trace {
  const random = createRandom(seed);
  const sizes: number[] = [];
  const object = (median: number, sigma: number): number =>
    sizes.push(Math.ceil(Math.min(random.logNormal(median, sigma), MAX_LAYER))) - 1;
  const layers = (count: number): number[] =>
    Array.from({ length: count }, () => object(workload.layerSize.median, workload.layerSize.sigma));
  const image = (base: readonly number[], own: readonly number[]): Image => ({
    manifest: object(2_000, 0.5),
    config: object(8_000, 0.7),
    base,
    own,
  });

  const bases = Array.from({ length: workload.bases }, () => {
    const built = [{ time: 0, layers: layers(workload.layers.base) }];
    for (const time of moments(BASE_REBUILT, workload.days, random))
      built.push({ time, layers: layers(workload.layers.base) });
    return built;
  });
  const anyBase = createZipf(workload.bases, workload.alpha, random);
  const baseAt = (base: number, time: number): readonly number[] =>
    bases[base]?.findLast((built) => built.time <= time)?.layers ?? [];

  const pulls: Pull[] = [];
  const pull = (time: number, image: Image): void => {
    if (time < workload.days) pulls.push({ time, image, withBase: random.uniform() >= workload.warmClients });
  };

  const [fastest, slowest] = workload.releaseEvery;
  const repositories = Array.from({ length: workload.repositories }, () => {
    const base = anyBase();
    const every = fastest * (slowest / fastest) ** random.uniform();
    let own = layers(workload.layers.own);
    // the newest release at the start is as old as any
    const releases: Release[] = [{ time: 0, image: image(baseAt(base, 0), own) }];
    for (const time of moments(every, workload.days, random)) {
      let kept = 0;
      while (kept < own.length - 1 && random.uniform() < LAYER_KEPT) kept += 1;
      own = [...own.slice(0, kept), ...layers(own.length - kept)];
      const release = { time, image: image(baseAt(base, time), own) };
      releases.push(release);
      const machines = Math.round(random.logNormal(workload.rollout, 1));
      for (let machine = 0; machine < machines; machine += 1)
        pull(time + random.uniform() * HOUR, release.image);
    }
    return { base, releases };
  });

  const anyRepository = createZipf(workload.repositories, workload.alpha, random);
  for (let count = workload.pulls * workload.days; count > 0; count -= 1) {
    const time = random.uniform() * workload.days;
    const past = repositories[anyRepository()]?.releases.filter((release) => release.time <= time) ?? [];
    let age = random.uniform() < workload.newest ? 0 : 1;
    while (age > 0 && random.uniform() < 0.5) age += 1;
    const release = past.at(-1 - Math.min(age, past.length - 1));
    if (release !== undefined) pull(time, release.image);
  }

  for (let count = workload.ciImages * workload.days; count > 0; count -= 1) {
    const time = random.uniform() * workload.days;
    const repository = repositories[anyRepository()];
    const under = repository?.releases.findLast((release) => release.time <= time)?.image;
    if (under === undefined) continue;
    const own = [...under.own.slice(0, -1), ...layers(1 + random.below(2))];
    const built = image(under.base, own);
    for (let again = 2 + random.below(3); again > 0; again -= 1)
      pull(time + random.uniform() * 2 * HOUR, built);
  }

  for (let day = 0; day < workload.days; day += 1) {
    for (let count = workload.scanned; count > 0; count -= 1) {
      const time = day + (2 + random.uniform() * workload.scanHours) * HOUR;
      const base = random.uniform() < 0.5 ? baseAt(anyBase(), time) : layers(workload.layers.base);
      const scanned = image(base, layers(workload.layers.own));
      pulls.push({ time, image: scanned, withBase: true });
    }
  }

  return toTrace(pulls, sizes);
}

/** The moments of a Poisson process, on average `mean` apart. */
function* moments(mean: number, end: number, random: Random): Generator<number> {
  for (let time = random.exponential(mean); time < end; time += random.exponential(mean)) yield time;
}

function toTrace(pulls: Pull[], sizes: readonly number[]): Trace {
  pulls.sort((one, other) => one.time - other.time);
  const requests: number[] = [];
  const times: number[] = [];
  for (const { time, image, withBase } of pulls) {
    for (const object of [image.manifest, image.config, ...(withBase ? image.base : []), ...image.own]) {
      requests.push(object);
      times.push(time);
    }
  }
  const asked = new Uint32Array(sizes.length);
  for (const object of requests) asked[object] = (asked[object] ?? 0) + 1;
  const bytes = (least: number): number =>
    sizes.reduce((sum, size, object) => sum + ((asked[object] ?? 0) >= least ? size : 0), 0);
  return {
    requests: Int32Array.from(requests),
    times: Float64Array.from(times),
    sizes: Float64Array.from(sizes),
    footprint: bytes(1),
    workingSet: bytes(2),
  };
}
