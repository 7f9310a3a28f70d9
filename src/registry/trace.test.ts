import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { nameOf, traceOf } from './trace.ts';

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (thrown) {
    return thrown;
  }
  throw new Error('nothing was thrown');
}

test.each([
  ['a JSON error', () => JSON.parse('marked-secret'), 'SyntaxError'],
  ['a URL that is none', () => new URL('marked-secret'), 'TypeError ERR_INVALID_URL'],
  ['a wrong argument', () => Buffer.alloc(Number('marked-secret')), 'RangeError ERR_OUT_OF_RANGE'],
])('%s is told by its name and code', (_what, work, name) => {
  expect(nameOf(thrownBy(work))).toBe(name);
});

test('a system call is told by its message, which has nothing but the call, the path and the reason', () => {
  const thrown = thrownBy(() => readFileSync('/nowhere'));
  expect(nameOf(thrown)).toBe("ENOENT: no such file or directory, open '/nowhere'");
});

test.each([
  ['text', 'marked-secret'],
  [undefined, undefined],
  ['an object', { token: 'marked-secret' }],
])('what is no error is not shown: %s', (_what, thrown) => {
  expect(nameOf(thrown)).toMatch(/^a thrown \w+$/);
});

test('a name or code that is a sentence is not shown', () => {
  const error = Object.assign(new Error('x'), { name: 'marked secret', code: 'marked-secret' });
  expect(nameOf(error)).toBe('Error');
});

test('a trace has the places of the failure and of its causes, and none of their words', () => {
  const cause = Object.assign(new TypeError('marked-secret\n    at marked-secret'), {
    config: 'marked-secret',
  });
  const trace = traceOf(new Error('marked-secret', { cause }));
  expect(trace).toMatch(/^Error\n {4}at .*trace\.test\.ts:\d+:\d+\)?\n/);
  expect(trace).toMatch(/\ncaused by TypeError\n {4}at .*trace\.test\.ts:\d+:\d+/);
  expect(trace).not.toContain('secret');
});

test('a failure that is its own cause has an end', () => {
  const error = new Error('x');
  error.cause = error;
  expect(traceOf(error).match(/caused by/g)).toHaveLength(4);
});
