import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import { BreakwaterError, type ErrorCode } from '../registry/errors.ts';
import { createCircuit, LONGEST_PAUSE_MS, withCircuit, type Circuit } from './circuit.ts';
import type { TransportAnswer } from './transport.ts';

const HOST = 'registry.test';
let time = 0;
let circuit: Circuit;
let lines: { msg: string }[];

beforeEach(() => {
  time = 1_000_000;
  lines = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as { msg: string }) });
  circuit = createCircuit(log, () => time);
});

const fail = (code: ErrorCode = 'UPSTREAM_CONNECT'): void =>
  circuit.failed(HOST, new BreakwaterError(code, `${HOST}: refused`));
const isOpen = (host = HOST): boolean => {
  try {
    circuit.check(host);
    return false;
  } catch {
    return true;
  }
};

describe('a host that cannot be reached', () => {
  test.each(['UPSTREAM_CONNECT', 'UPSTREAM_DNS'] as const)('is left alone for a moment: %s', (code) => {
    expect(isOpen()).toBe(false);
    fail(code);
    expect(() => circuit.check(HOST)).toThrow(expect.objectContaining({ code }));
    expect(isOpen('other.test')).toBe(false);
    time += 1_000;
    expect(isOpen()).toBe(false);
  });

  test.each(['UPSTREAM_TIMEOUT', 'UPSTREAM_RESET', 'UPSTREAM_TLS', 'UPSTREAM_STATUS'] as const)(
    'is not one whose answer went wrong: %s',
    (code) => {
      fail(code);
      expect(isOpen()).toBe(false);
    },
  );

  test('stays one where the client left that was the one to try, and the next may', () => {
    fail();
    time += 1_000;
    expect(isOpen()).toBe(false);
    fail('REQUEST_CUT');
    expect(isOpen()).toBe(false);
    expect(isOpen()).toBe(true);
  });

  test('is asked with growing pauses, 15 s at the most', () => {
    const pauses: number[] = [];
    for (let turn = 0; turn < 7; turn += 1) {
      fail();
      const failedAt = time;
      while (isOpen()) time += 500;
      pauses.push(time - failedAt);
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, ...Array<number>(3).fill(LONGEST_PAUSE_MS)]);
  });

  test('when many requests fail at once, that is one failure', () => {
    for (let turn = 0; turn < 50; turn += 1) fail();
    time += 1_000;
    expect(isOpen()).toBe(false);
  });

  test('after the pause one request goes ahead, the others fail at once until it is answered', () => {
    fail();
    time += 1_000;
    expect(isOpen()).toBe(false);
    expect(isOpen()).toBe(true);
    time += 60_000;
    expect(isOpen()).toBe(true);
    circuit.reached(HOST);
    expect(isOpen()).toBe(false);
    expect(isOpen()).toBe(false);
  });

  test('is told of once, and so is that it came back', () => {
    for (let turn = 0; turn < 3; turn += 1) {
      fail();
      time += LONGEST_PAUSE_MS;
      circuit.check(HOST);
    }
    circuit.reached(HOST);
    circuit.reached(HOST);
    expect(lines.map(({ msg }) => msg)).toEqual(['host cannot be reached', 'host reached again']);
  });
});

describe('withCircuit', () => {
  test('asks no more while the host is away, and counts every answer as a sign of life', async () => {
    let sent = 0;
    let failure: BreakwaterError | undefined = new BreakwaterError('UPSTREAM_DNS', 'no such name');
    // the circuit does not look at the answer
    const answer = { status: 503 } as TransportAnswer;
    const transport = withCircuit(
      {
        send: () => {
          sent += 1;
          return failure === undefined ? Promise.resolve(answer) : Promise.reject(failure);
        },
        close: () => Promise.resolve(),
      },
      circuit,
    );
    const send = () =>
      transport.send({ url: new URL('https://registry.test/v2/'), method: 'GET', headers: {} });
    await expect(send()).rejects.toThrow('no such name');
    await expect(send()).rejects.toThrow(/no such name.*remembered/);
    expect(sent).toBe(1);
    time += 1_000;
    failure = undefined;
    expect(await send()).toBe(answer);
    expect(await send()).toBe(answer);
    expect(sent).toBe(3);
  });
});
