import type { Reporter, TestModule } from 'vitest/node';

/**
 * Ends the output with `N passed, N failed`, alone on its line. A skipped test proves nothing and counts as
 * failed; where `CI` is set, it fails the run too.
 */
export function createClosingLine(): Reporter {
  return {
    onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]) {
      const states = modules.flatMap((module) =>
        [...module.children.allTests()].map((test) => test.result().state),
      );
      const passed = states.filter((state) => state === 'passed').length;
      // a file that cannot be loaded, or an error outside of all tests, is in no test's result
      const broken = modules.filter((module) => module.errors().length > 0).length + errors.length;
      const failed = states.length - passed + broken;
      if (process.env['CI'] !== undefined && (failed > 0 || passed === 0)) process.exitCode = 1;
      // after the summary of the reporter before this one
      process.once('exit', () => process.stdout.write(`${passed} passed, ${failed} failed\n`));
    },
  };
}
