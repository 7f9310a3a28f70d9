import { pino } from 'pino';
import { createLineWriter, type LineWriter } from './line-writer.ts';

/** The access log's way out: lines of a moment go to stdout together, and stop nobody there. */
export function openAccessLines(): LineWriter {
  const destination = pino.destination({ dest: 1, sync: false });
  const writer = createLineWriter((lines) => void destination.write(lines));
  return {
    write: (line) => writer.write(line),
    flush() {
      writer.flush();
      destination.flushSync();
    },
  };
}
