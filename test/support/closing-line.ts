import type { Reporter, TestModule } from 'vitest/node';

/**
 * Prints `N passed, N failed` alone on the last line. A skipped test proves nothing and counts as failed;
 * where `CI` is set, it fails the run too.
 */
export class ClosingLine implements Reporter {
  #line = '';

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const passed = tests.filter((test) => test.result().state === 'passed').length;
    const skipped = tests.filter((test) => test.result().state === 'skipped').length;
    const broken = modules.filter((module) => module.errors().length > 0).length;
    const failed = tests.length - passed + broken + errors.length;
    this.#line = `${passed} passed, ${failed} failed\n`;
    if (process.env['CI'] !== undefined && (skipped > 0 || tests.length === 0)) process.exitCode = 1;
    // the summary of the reporter before this one is printed by then
    process.once('exit', () => process.stdout.write(this.#line));
  }
}
