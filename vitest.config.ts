import { defineConfig } from 'vitest/config';
import { createClosingLine } from './test/support/closing-line.ts';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: ['test/support/install-packages.ts'],
    testTimeout: 60_000,
    hookTimeout: 600_000,
    // real daemons on a shared machine: one more try tells a fault from a hiccup
    retry: process.env['CI'] === undefined ? 0 : 1,
    reporters: ['default', createClosingLine()],
  },
});
