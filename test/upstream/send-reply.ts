import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { MutableRecord } from './recorded-request.ts';
import { planAnswer, type Answer, type Planned, type Reply } from './reply.ts';

/** Pieces of a body that is sent at a rate: this many a second. */
const BEATS = 50;

/** Sends the right answer, or what the reply makes of it. */
export async function sendReply(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  reply: Reply,
  record: MutableRecord,
): Promise<void> {
  const { socket } = request;
  const closed = record.closed;
  if (reply.latency !== undefined) await Promise.race([closed, delay(reply.latency)]);
  if (reply.holdHeaders !== undefined) await Promise.race([closed, reply.holdHeaders]);
  if (response.destroyed) return;
  if (reply.cutAt === 'headers') return cut(record, socket);
  // RFC 9110, 14.2: for any method but GET it is ignored
  const range = request.method === 'GET' ? request.headers.range : undefined;
  const planned = planAnswer(answer, reply, range);
  record.status = planned.status;
  if (reply.bareLf === true) return sendBareLf(record, socket, planned);

  if (reply.endAt !== undefined || reply.extra !== undefined) response.shouldKeepAlive = false;
  response.writeHead(planned.status, planned.headers);
  response.flushHeaders();
  if (request.method !== 'HEAD' && !(await sendBody(response, planned, reply, record))) return;
  response.end();
}

/** False where the answer must not be ended any more. */
async function sendBody(
  response: ServerResponse,
  planned: Planned,
  reply: Reply,
  record: MutableRecord,
): Promise<boolean> {
  const { content, start, end } = planned;
  const total = end - start;
  const last = Math.min(reply.endAt ?? total, typeof reply.cutAt === 'number' ? reply.cutAt : total);
  const { stall } = reply;
  const began = performance.now();
  const stops = [stall?.at, last]
    .filter((at) => at !== undefined && at <= last)
    .sort((a, b) => Number(a) - Number(b));
  let sent = 0;
  for (const stop of stops as number[]) {
    for (const chunk of pieces(content?.bytes(start + sent, start + stop) ?? [], reply.rate)) {
      if (reply.rate !== undefined) {
        const ahead = (sent / reply.rate) * 1000 - (performance.now() - began);
        if (ahead > 0) await Promise.race([record.closed, delay(ahead)]);
      }
      if (!(await write(response, flipped(chunk, sent, reply.flipAt), record))) return false;
      sent += chunk.length;
    }
    if (stop === stall?.at && stop < total) await Promise.race([record.closed, stall.until]);
    if (response.destroyed) return false;
  }
  if (reply.cutAt !== undefined) {
    await flushed(response.socket);
    cut(record, response.socket);
    return false;
  }
  return reply.extra === undefined || write(response, Buffer.alloc(reply.extra, 'x'), record);
}

function* pieces(chunks: Iterable<Buffer>, rate: number | undefined): Generator<Buffer> {
  const size = rate === undefined ? Infinity : Math.max(1, Math.floor(rate / BEATS));
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += size)
      yield chunk.subarray(at, at + Math.min(size, chunk.length));
  }
}

/** True when the bytes are with the kernel; false where the other side is gone. */
async function write(response: ServerResponse, chunk: Buffer, record: MutableRecord): Promise<boolean> {
  if (response.destroyed) return false;
  const written = new Promise<boolean>((resolve) => {
    response.write(chunk, (error) => resolve(error === null || error === undefined));
  });
  const done = await Promise.race([written, record.closed.then(() => false)]);
  if (done) record.bytesSent += chunk.length;
  return done;
}

function flipped(chunk: Buffer, at: number, flipAt: number | undefined): Buffer {
  if (flipAt === undefined || flipAt < at || flipAt >= at + chunk.length) return chunk;
  const copy = Buffer.from(chunk);
  copy.writeUInt8(copy.readUInt8(flipAt - at) ^ 1, flipAt - at);
  return copy;
}

function sendBareLf(record: MutableRecord, socket: Socket, { status, headers, content }: Planned): void {
  record.cut = true;
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().map((one) => `${name}: ${one}`),
  );
  socket.write([`HTTP/1.1 ${status} Scripted`, ...lines, 'connection: close', '', ''].join('\n'));
  for (const chunk of content?.bytes() ?? []) socket.write(chunk);
  socket.end();
}

/** Waits until all that was written before is with the kernel. */
function flushed(socket: Socket | null): Promise<void> {
  return new Promise((resolve) => {
    if (socket === null || socket.destroyed) resolve();
    else socket.write('', () => resolve());
  });
}

function cut(record: MutableRecord, socket: Socket | null): void {
  record.cut = true;
  socket?.destroy();
}
