import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { asBreakwaterError } from '../registry/errors.ts';
import { registryHost } from '../registry/registry-host.ts';
import type { Exchange } from './exchange.ts';
import { LAST_PATIENCE_MS, orGiveUp, PATIENCE_MS, withPatience } from './patience.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** What of an exchange patience looks at. */
function exchange(): Exchange {
  return { registry: registryHost('quay.io', 443), startedAt: Date.now() } as Exchange;
}

describe('a client that the cache could answer', () => {
  test('gets what was asked where it comes in time', async () => {
    const asked = Promise.withResolvers<string>();
    const given = withPatience(asked.promise, 'stale');
    vi.advanceTimersByTime(PATIENCE_MS - 1);
    asked.resolve('fresh');
    await expect(given).resolves.toBe('fresh');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('gets what stands in after that', async () => {
    const asked = Promise.withResolvers<string>();
    const given = withPatience(asked.promise, 'stale');
    vi.advanceTimersByTime(PATIENCE_MS);
    await expect(given).resolves.toBe('stale');
    asked.reject(new Error('later'));
  });
});

describe('a client that nothing else can be given', () => {
  test('is told before it gives up itself, counted from when it came', async () => {
    const came = exchange();
    vi.advanceTimersByTime(20_000);
    const given = orGiveUp(new Promise(() => undefined), came).catch(asBreakwaterError);
    vi.advanceTimersByTime(LAST_PATIENCE_MS - 20_000);
    expect(await given).toMatchObject({ code: 'UPSTREAM_TIMEOUT', status: 504 });
  });

  test('has its answer, or its failure, where that comes in time', async () => {
    await expect(orGiveUp(Promise.resolve('fresh'), exchange())).resolves.toBe('fresh');
    await expect(orGiveUp(Promise.reject(new Error('broken')), exchange())).rejects.toThrow('broken');
    expect(vi.getTimerCount()).toBe(0);
  });
});
