import { pino, stdTimeFunctions, type Logger } from 'pino';

/** The application's log: JSON lines on stderr; a static message, all data in fields. */
export function createLog(level: string): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
