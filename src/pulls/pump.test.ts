import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { content } from '../store/content.fixture.ts';
import { reset } from '../store/fill.fixture.ts';
import type { ByteSource } from '../store/store.ts';
import { createBuffers, type Buffers } from './buffers.ts';
import { createTurns } from './turns.ts';
import { createPump } from './pump.ts';

const { bytes } = content('pumped', 8 * 1024 * 1024);
const PATIENCE = 30_000;

/** What is open; closed after each test. */
const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

/** A server's answer and the client that asked for it. */
async function exchange(): Promise<{
  response: ServerResponse;
  answer: Promise<IncomingMessage>;
  leave: () => void;
}> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const asked = new Promise<ServerResponse>(
    (resolve) => void server.once('request', (_, response) => resolve(response)),
  );
  const { port } = server.address() as AddressInfo;
  const request = get({ port, host: '127.0.0.1', agent: false });
  request.on('error', () => undefined);
  const answer = new Promise<IncomingMessage>((resolve) => void request.once('response', resolve));
  open.push(() => {
    request.destroy();
    server.closeAllConnections();
    server.close();
  });
  const response = await asked;
  response.writeHead(200);
  response.flushHeaders();
  return { response, answer, leave: () => request.destroy() };
}

function source(read?: ByteSource['read']): ByteSource {
  return {
    size: bytes.length,
    growing: false,
    read: read ?? ((buffer, position) => bytes.copy(buffer, 0, position, position + buffer.length)),
    close: () => undefined,
  };
}

async function bodyOf(answer: Promise<IncomingMessage>): Promise<Buffer> {
  return Buffer.concat(await (await answer).toArray());
}

/** Buffers that tell how many answers have not ended, and how many are lent. */
function counted(): Buffers & { readonly answers: number; readonly lent: number } {
  const buffers = createBuffers();
  let answers = 0;
  let lent = 0;
  return {
    get answers() {
      return answers;
    },
    get lent() {
      return lent;
    },
    begin(length) {
      answers += 1;
      return buffers.begin(length);
    },
    end(size) {
      answers -= 1;
      buffers.end(size);
    },
    borrow(size) {
      lent += 1;
      return buffers.borrow(size);
    },
    giveBack(buffer) {
      lent -= 1;
      buffers.giveBack(buffer);
    },
  };
}

describe('pumping to a client', () => {
  test.each([
    ['all', 0, Infinity],
    ['a stretch', 1_000_001, 3_000_003],
    ['a few bytes', 77, 80],
    ['nothing', 500, 500],
  ])('%s: the bytes are exact', async (_, start, end) => {
    const { response, answer } = await exchange();
    const body = bodyOf(answer);
    const buffers = counted();
    const sent = await createPump(buffers, createTurns(), PATIENCE)(source(), start, end, response);
    response.end();
    expect((await body).equals(bytes.subarray(start, end))).toBe(true);
    expect(sent).toBe(Math.min(end, bytes.length) - start);
    expect([buffers.answers, buffers.lent]).toEqual([0, 0]);
  });

  test('a buffer is filled again only when its bytes are with the kernel', async () => {
    const { response, answer } = await exchange();
    let later = false;
    const turns = source((buffer, position) => {
      const length = bytes.copy(buffer, 0, position, position + buffer.length);
      later = !later;
      return later ? Promise.resolve(length) : length;
    });
    const pumped = createPump(createBuffers(), createTurns(), PATIENCE)(
      turns,
      0,
      bytes.length,
      response,
    ).then(() => response.end());
    const message = await answer;
    // a slow client: were the buffer used too early, it would see later bytes
    await new Promise((resolve) => void setTimeout(resolve, 100));
    expect(Buffer.concat(await message.toArray()).equals(bytes)).toBe(true);
    await pumped;
  });

  test('a source that fails is told, with the buffer given back', async () => {
    const { response } = await exchange();
    const buffers = counted();
    const failing = source((buffer, position) => {
      if (position > 0) throw reset();
      return bytes.copy(buffer, 0, 0, 1000);
    });
    await expect(
      createPump(buffers, createTurns(), PATIENCE)(failing, 0, Infinity, response),
    ).rejects.toMatchObject({
      code: 'UPSTREAM_RESET',
    });
    expect([buffers.answers, buffers.lent]).toEqual([0, 0]);
    expect(response.listenerCount('close')).toBeLessThan(10);
  });

  test('a client that leaves, while it is written to or while bytes are waited for, ends it', async () => {
    for (const waits of [false, true]) {
      const { response, answer, leave } = await exchange();
      const buffers = counted();
      const coming = Promise.withResolvers<void>();
      const given = source((buffer, position) => {
        const length = bytes.copy(buffer, 0, position, position + buffer.length);
        return waits && position > 0 ? coming.promise.then(() => length) : length;
      });
      const pumped = createPump(buffers, createTurns(), PATIENCE)(given, 0, Infinity, response);
      await answer; // it reads nothing more
      const closed = new Promise((resolve) => void response.once('close', resolve));
      leave();
      await closed;
      coming.resolve();
      expect(await pumped).toBeLessThan(bytes.length);
      // a buffer whose bytes may still come is nobody's any more
      expect([buffers.answers, buffers.lent]).toEqual([0, waits ? 1 : 0]);
    }
  });

  test('a client that takes nothing for too long is cut', async () => {
    const { response, answer } = await exchange();
    const began = performance.now();
    const pumped = createPump(createBuffers(), createTurns(), 200)(source(), 0, Infinity, response);
    const message = await answer;
    message.pause();
    expect(await pumped).toBeLessThan(bytes.length);
    expect(response.destroyed).toBe(true);
    expect(performance.now() - began).toBeGreaterThan(190);
  });

  test('a source that takes its time is not held against the client', async () => {
    const { response, answer } = await exchange();
    const body = bodyOf(answer);
    const slow = source(async (buffer, position) => {
      if (position >= 1_000) return 0;
      await new Promise((resolve) => void setTimeout(resolve, 150));
      return bytes.copy(buffer, 0, position, position + 500);
    });
    expect(await createPump(createBuffers(), createTurns(), 50)(slow, 0, Infinity, response)).toBe(1_000);
    response.end();
    expect((await body).equals(bytes.subarray(0, 1_000))).toBe(true);
  });

  test('nothing is written to a client that is gone already', async () => {
    const { response } = await exchange();
    response.destroy();
    expect(await createPump(createBuffers(), createTurns(), PATIENCE)(source(), 0, Infinity, response)).toBe(
      0,
    );
  });
});
