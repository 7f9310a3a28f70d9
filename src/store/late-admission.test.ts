import type { DatabaseSync } from 'node:sqlite';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf, type Digest } from '../registry/digest.ts';
import { openIndex } from './index/database.ts';
import { createObjectTable, type ObjectTable } from './index/object-table.ts';
import { createLateAdmission } from './late-admission.ts';
import { createS3Fifo } from './s3-fifo.ts';

const SIZE = 1_000;
const nobody = (): boolean => false;

function named(name: number): Digest {
  return digestOf(Buffer.from(String(name)));
}

/** An index of `count` objects, the first one the longest unused; many of a moment share its time. */
function indexOf(count: number): { objects: ObjectTable; database: DatabaseSync; faults: string[] } {
  const { database } = openIndex(':memory:');
  const faults: string[] = [];
  const objects = createObjectTable(
    database,
    (error, doing) => void faults.push(`${doing}: ${String(error)}`),
  );
  database.exec('BEGIN');
  for (let name = 0; name < count; name += 1) {
    objects.put({ digest: named(name), size: SIZE, mediaType: undefined, usedAt: Math.floor(name / 700) });
  }
  database.exec('COMMIT');
  return { objects, database, faults };
}

const onFault = (error: unknown): void => {
  throw error;
};

describe('a policy that learns of what was stored before', () => {
  it('has the totals right from the beginning, and all the objects in the end', async () => {
    const { objects } = indexOf(3_000);
    const policy = createS3Fifo();
    const late = createLateAdmission(policy, objects, onFault);
    expect(policy.totals().objects).toBeLessThan(3_000);
    expect(late.totals()).toEqual({ objects: 3_000, bytes: 3_000 * SIZE });
    await late.complete;
    expect(policy.totals()).toEqual({ objects: 3_000, bytes: 3_000 * SIZE });
    expect(late.totals()).toEqual(policy.totals());
  });

  it('finds as many victims as there are objects, at once', () => {
    const { objects } = indexOf(3_000);
    const late = createLateAdmission(createS3Fifo(), objects, onFault);
    const gone = new Set<Digest>();
    for (let victim = late.victim(nobody); victim !== undefined; victim = late.victim(nobody)) {
      gone.add(victim);
      late.remove(victim); // as the store does with all that leaves
      objects.delete(victim);
    }
    expect(gone.size).toBe(3_000);
    expect(late.totals()).toEqual({ objects: 0, bytes: 0 });
  });

  it('counts each object once, whatever happens to it before its turn', async () => {
    const touches = fc.array(
      fc.record({ act: fc.constantFrom('access', 'remove', 'replace', 'use', 'evict'), name: fc.nat(2_999) }),
      { maxLength: 200 },
    );
    await fc.assert(
      fc.asyncProperty(touches, async (steps) => {
        const { objects } = indexOf(3_000);
        const policy = createS3Fifo();
        const late = createLateAdmission(policy, objects, onFault);
        const sizes = new Map(Array.from({ length: 3_000 }, (_, name) => [named(name), SIZE]));
        for (const { act, name } of steps) {
          const digest = named(name);
          if (act === 'access') late.access(digest);
          if (act === 'use') objects.used(new Map([[digest, 1_000]]));
          const leaving = act === 'evict' ? late.victim(nobody) : act === 'remove' ? digest : undefined;
          if (leaving !== undefined) {
            late.remove(leaving);
            objects.delete(leaving);
            sizes.delete(leaving);
          }
          if (act === 'replace') {
            late.admit(digest, 10);
            objects.put({ digest, size: 10, mediaType: undefined, usedAt: 2_000 });
            sizes.set(digest, 10);
          }
          expect(late.has(digest)).toBe(sizes.has(digest));
        }
        const expected = {
          objects: sizes.size,
          bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0),
        };
        expect(late.totals()).toEqual(expected);
        await late.complete;
        expect(policy.totals()).toEqual(expected);
      }),
      { numRuns: 15 },
    );
  });

  it('passes over a row that is no object', async () => {
    const { objects, database } = indexOf(3);
    database.exec("INSERT INTO objects (digest, size, media_type, used_at) VALUES ('rubbish', 7, NULL, 0)");
    const policy = createS3Fifo();
    await createLateAdmission(policy, objects, onFault).complete;
    expect(policy.totals().objects).toBe(3);
  });

  it('goes on with what it knows where the index cannot be read any more', async () => {
    const { objects, database, faults } = indexOf(3_000);
    const policy = createS3Fifo();
    const late = createLateAdmission(policy, objects, (error) => void faults.push(String(error)));
    database.close();
    await late.complete;
    expect(faults).toHaveLength(1);
    expect(late.totals()).toEqual(policy.totals());
  });

  it('stops where it is told to', async () => {
    const { objects } = indexOf(3_000);
    const policy = createS3Fifo();
    const late = createLateAdmission(policy, objects, onFault);
    late.stop();
    await late.complete;
    expect(policy.totals().objects).toBeLessThan(3_000);
  });
});
