import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf, type Digest } from '../registry/digest.ts';
import { createS3Fifo, type S3Fifo } from './s3-fifo.ts';

const MB = 1e6;
const nobody = (): boolean => false;

function named(name: string | number): Digest {
  return digestOf(Buffer.from(String(name)));
}

/** Digests that meet: some of SHA-512, with the same beginning as others of theirs and of SHA-256. */
const SHARED = 'ab'.repeat(32);
const DIGESTS: readonly Digest[] = [
  ...Array.from({ length: 20 }, (_, number) => named(number)),
  ...Array.from({ length: 4 }, (_, number) => digestOf(Buffer.from(String(number)), 'sha512')),
  `sha256:${SHARED}` as Digest,
  `sha512:${SHARED}${'00'.repeat(32)}` as Digest,
  `sha512:${SHARED}${'11'.repeat(32)}` as Digest,
];

/** What must be in: digest and size. */
type Model = Map<Digest, number>;

function sum(sizes: Iterable<number>): number {
  return [...sizes].reduce((total, size) => total + size, 0);
}

function expectAgreement(model: Model, policy: S3Fifo): void {
  expect(policy.totals()).toEqual({ objects: model.size, bytes: sum(model.values()) });
  expect(policy.ghosts().objects).toBeLessThanOrEqual(Math.max(0, model.size));
  expect(policy.ghosts().bytes).toBeLessThanOrEqual(sum(model.values()));
}

/** A victim was in, and nobody reads it; there is none only where everything is being read. */
function expectRightly(victim: Digest | undefined, model: Model, pinned: ReadonlySet<Digest>): void {
  const free = [...model.keys()].filter((digest) => !pinned.has(digest));
  if (victim === undefined) expect(free).toEqual([]);
  else expect(free).toContain(victim);
}

class Admit implements fc.Command<Model, S3Fifo> {
  readonly digest: Digest;
  readonly size: number;
  constructor(digest: Digest, size: number) {
    this.digest = digest;
    this.size = size;
  }
  check = (): boolean => true;
  run(model: Model, policy: S3Fifo): void {
    policy.admit(this.digest, this.size);
    model.set(this.digest, this.size);
    expectAgreement(model, policy);
  }
  toString = (): string => `admit(${this.digest}, ${this.size})`;
}

class Access implements fc.Command<Model, S3Fifo> {
  readonly digest: Digest;
  constructor(digest: Digest) {
    this.digest = digest;
  }
  check = (): boolean => true;
  run(model: Model, policy: S3Fifo): void {
    policy.access(this.digest);
    expectAgreement(model, policy);
  }
  toString = (): string => `access(${this.digest})`;
}

class Remove implements fc.Command<Model, S3Fifo> {
  readonly digest: Digest;
  constructor(digest: Digest) {
    this.digest = digest;
  }
  check = (): boolean => true;
  run(model: Model, policy: S3Fifo): void {
    policy.remove(this.digest);
    model.delete(this.digest);
    expectAgreement(model, policy);
  }
  toString = (): string => `remove(${this.digest})`;
}

class Evict implements fc.Command<Model, S3Fifo> {
  readonly pinned: ReadonlySet<Digest>;
  constructor(pinned: readonly Digest[]) {
    this.pinned = new Set(pinned);
  }
  check = (): boolean => true;
  run(model: Model, policy: S3Fifo): void {
    const victim = policy.victim((digest) => this.pinned.has(digest));
    expectRightly(victim, model, this.pinned);
    if (victim !== undefined) model.delete(victim);
    expectAgreement(model, policy);
  }
  toString = (): string => `evict, pinned: ${[...this.pinned].join(' ')}`;
}

const digests = fc.constantFrom(...DIGESTS);
const sizes = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 1, max: 100_000 }),
  fc.integer({ min: 1, max: 1e12 }),
);
const commands = fc.commands(
  [
    fc.tuple(digests, sizes).map(([digest, size]) => new Admit(digest, size)),
    digests.map((digest) => new Access(digest)),
    digests.map((digest) => new Remove(digest)),
    fc.subarray([...DIGESTS]).map((pinned) => new Evict(pinned)),
    fc.constant(new Evict([])),
  ],
  { maxCommands: 200 },
);

function evictAll(policy: S3Fifo): Digest[] {
  const victims: Digest[] = [];
  for (let victim = policy.victim(nobody); victim !== undefined; victim = policy.victim(nobody)) {
    victims.push(victim);
  }
  return victims;
}

describe('S3-FIFO', () => {
  it('agrees with a plain map on what is in, whatever happens to it', () => {
    fc.assert(
      fc.property(commands, (steps) => {
        const model: Model = new Map();
        const real = createS3Fifo();
        fc.modelRun(() => ({ model, real }), steps);
        expect(new Set(evictAll(real))).toEqual(new Set(model.keys()));
        expect(real.totals()).toEqual({ objects: 0, bytes: 0 });
        expect(real.ghosts()).toEqual({ objects: 0, bytes: 0 });
      }),
      { numRuns: 500 },
    );
  });

  it('gives every object up once, however often it was used', () => {
    const policy = createS3Fifo();
    const all = Array.from({ length: 5_000 }, (_, number) => named(number));
    for (const digest of all) policy.admit(digest, MB);
    for (let round = 0; round < 5; round += 1) for (const digest of all) policy.access(digest);
    expect(evictAll(policy).toSorted()).toEqual(all.toSorted());
  });

  it('keeps what was used over what came at the same time and was not', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ number: fc.nat(1_000), used: fc.boolean(), size: sizes }), {
          selector: ({ number }) => number,
        }),
        (objects) => {
          const policy = createS3Fifo();
          const left = new Map(
            objects.map(({ number, used, size }) => [named(number), { used, size: size + MB }]),
          );
          const bytes = (of: (used: boolean) => boolean): number =>
            sum([...left.values()].filter(({ used }) => of(used)).map(({ size }) => size));
          for (const [digest, { size }] of left) policy.admit(digest, size);
          for (const [digest, { used }] of left) if (used) policy.access(digest);
          // up to a fifth of the bytes belong to what has not been used yet
          while (bytes((used) => !used) > bytes(() => true) / 5) {
            const victim = policy.victim(nobody) as Digest;
            expect(left.get(victim)?.used).toBe(false);
            left.delete(victim);
          }
        },
      ),
    );
  });

  it('lets a scan pass by the objects that are used', () => {
    const policy = createS3Fifo();
    const used = Array.from({ length: 50 }, (_, number) => named(`used ${number}`));
    for (const digest of used) policy.admit(digest, MB);
    for (const digest of used) policy.access(digest);
    const gone = new Set<Digest>();
    for (let number = 0; number < 1_000; number += 1) {
      policy.admit(named(number), MB);
      while (policy.totals().bytes > 100 * MB) gone.add(policy.victim(nobody) as Digest);
    }
    expect(used.filter((digest) => gone.has(digest))).toEqual([]);
  });

  it('keeps what comes again soon after it left, as it left too soon', () => {
    const policy = createS3Fifo();
    for (let number = 0; number < 10; number += 1) policy.admit(named(number), MB);
    for (let number = 0; number < 5; number += 1) policy.access(named(number));
    const left = policy.victim(nobody) as Digest;
    expect(policy.ghosts().objects).toBe(1);
    policy.admit(left, MB);
    expect(policy.ghosts().objects).toBe(0);
    const others = evictAll(policy).slice(0, 4);
    expect(others).not.toContain(left);
  });

  it('passes over what is being read, and says so where that is everything', () => {
    const policy = createS3Fifo();
    for (let number = 0; number < 100; number += 1) policy.admit(named(number), MB);
    expect(policy.victim(() => true)).toBeUndefined();
    expect(policy.totals().objects).toBe(100);
    expect(policy.victim((digest) => digest !== named(42))).toBe(named(42));
  });

  it('forgets what left where it left long ago: one ghost an object at most', () => {
    const policy = createS3Fifo();
    for (let number = 0; number < 5_000; number += 1) {
      policy.admit(named(number), number % 2 === 0 ? 0 : MB);
      while (policy.totals().objects > 100) policy.victim(nobody);
      expect(policy.ghosts().objects).toBeLessThanOrEqual(100);
      expect(policy.ghosts().bytes).toBeLessThanOrEqual(policy.totals().bytes);
    }
  });

  it('holds 100,000 objects, evicted and stored anew, and none is lost', () => {
    const policy = createS3Fifo();
    const digest = (number: number): Digest =>
      `sha256:${number.toString(16).padStart(16, '0').repeat(4)}` as Digest;
    for (let number = 0; number < 100_000; number += 1) policy.admit(digest(number), MB);
    for (let number = 100_000; number < 200_000; number += 1) {
      policy.admit(digest(number), MB);
      policy.access(digest(number));
      policy.victim(nobody);
    }
    expect(policy.totals()).toEqual({ objects: 100_000, bytes: 100_000 * MB });
  });
});
