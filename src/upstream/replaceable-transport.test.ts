import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { createReplaceableTransport } from './replaceable-transport.ts';
import type { Transport, TransportAnswer } from './transport.ts';

const REQUEST = { url: new URL('http://a.example/'), method: 'GET', headers: {} } as const;

/** A transport whose bodies are ended by the test. */
function transport() {
  const bodies: Readable[] = [];
  const told = { closed: 0, bodies };
  const made: Transport = {
    send() {
      const body = new Readable({ read: () => undefined });
      bodies.push(body);
      // of a body only its being a stream counts here
      return Promise.resolve({ status: 200, headers: {}, body } as unknown as TransportAnswer);
    },
    close: () => Promise.resolve(void (told.closed += 1)),
  };
  return { made, told };
}

const fail = (thrown: unknown): never => {
  throw thrown;
};

test('what is under way ends on the transport it began with, which is closed after it', async () => {
  const [before, after] = [transport(), transport()];
  const replaceable = createReplaceableTransport(before.made, fail);
  const answers = [await replaceable.send(REQUEST), await replaceable.send(REQUEST)];
  replaceable.replace(after.made);
  await replaceable.send(REQUEST);
  expect([before.told.bodies.length, after.told.bodies.length]).toEqual([2, 1]);
  answers[0]?.body.destroy();
  await new Promise(setImmediate);
  expect(before.told.closed).toBe(0);
  answers[1]?.body.destroy();
  await expect.poll(() => before.told.closed).toBe(1);
  expect(after.told.closed).toBe(0);
});

test('one that is of no use to anybody is closed at once', () => {
  const [before, after] = [transport(), transport()];
  const replaceable = createReplaceableTransport(before.made, fail);
  replaceable.replace(after.made);
  expect([before.told.closed, after.told.closed]).toEqual([1, 0]);
});

test('the end closes all of them, once each', async () => {
  const [before, after] = [transport(), transport()];
  const replaceable = createReplaceableTransport(before.made, fail);
  const { body } = await replaceable.send(REQUEST);
  replaceable.replace(after.made);
  await replaceable.close();
  body.destroy();
  await new Promise(setImmediate);
  expect([before.told.closed, after.told.closed]).toEqual([1, 1]);
});

test('a request that failed holds nothing', async () => {
  const [before, after] = [transport(), transport()];
  const failing: Transport = { ...before.made, send: () => Promise.reject(new Error('away')) };
  const replaceable = createReplaceableTransport(failing, fail);
  await expect(replaceable.send(REQUEST)).rejects.toThrow('away');
  replaceable.replace(after.made);
  expect(before.told.closed).toBe(1);
});
