import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRepositoryName } from './name.ts';
import { formatScope, normalizeScope, parseScopes, pullOnly, repositoryScope } from './scope.ts';

const scope = fc.record({
  type: fc.constantFrom('repository', 'registry', 'repository(plugin)'),
  name: fc.stringMatching(/^[a-z0-9./:-]{0,12}[a-z0-9]$/),
  actions: fc.array(fc.constantFrom('pull', 'push', 'delete', '*'), { minLength: 1, maxLength: 3 }),
});

describe('a scope cut down to pulling', () => {
  test.each([
    ['repository:a:pull', 'repository:a:pull'],
    ['repository:a:pull,push', 'repository:a:pull'],
    ['repository:a:*', 'repository:a:pull'],
    ['repository:a:delete', ''],
    ['repository:a:push repository:b:push,pull registry:catalog:*', 'repository:b:pull registry:catalog:*'],
  ])('of %s is %s', (text, narrowed) => {
    expect(pullOnly(text)).toBe(narrowed);
  });
});

describe('scopes', () => {
  test('are what their own text parses to', () => {
    fc.assert(
      fc.property(fc.array(scope, { maxLength: 4 }), (list) => {
        expect(parseScopes(list.map(formatScope).join(' '))).toEqual(list);
      }),
    );
  });

  test('may have a port in the name', () => {
    expect(parseScopes('repository:host:5000/a:pull,push')).toEqual([
      { type: 'repository', name: 'host:5000/a', actions: ['pull', 'push'] },
    ]);
  });

  test.each(['', ' ', 'repository', 'repository:a', 'repository::pull', ':a:pull', 'repository:a:', 'a:b:,'])(
    'are not in "%s"',
    (text) => {
      expect(parseScopes(text)).toEqual([]);
    },
  );

  test.each([
    ['GET', 'pull'],
    ['HEAD', 'pull'],
    ['POST', 'pull,push'],
    ['PUT', 'pull,push'],
    ['DELETE', 'delete'],
  ])('for a %s name the repository and %s', (method, actions) => {
    expect(repositoryScope(parseRepositoryName('a/b'), method)).toBe(`repository:a/b:${actions}`);
  });
});

describe('a normalized scope', () => {
  test('does not depend on order or repetition', () => {
    const shuffled = fc
      .array(scope, { minLength: 1, maxLength: 4 })
      .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));
    fc.assert(
      fc.property(shuffled, ([list, other]) => {
        const text = list.map(formatScope).join(' ');
        const reversed = other.map((one) => formatScope({ ...one, actions: one.actions.toReversed() }));
        expect(normalizeScope([...reversed, ...reversed].join(' '))).toBe(normalizeScope(text));
      }),
    );
  });

  test('is normalized already, whatever it was made from', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'b', ':', ',', ' ') }), (text) => {
        expect(normalizeScope(normalizeScope(text))).toBe(normalizeScope(text));
      }),
    );
  });

  test('joins what is asked of one name', () => {
    expect(normalizeScope('repository:b:push  x repository:a:pull repository:b:pull')).toBe(
      'repository:a:pull repository:b:pull,push x',
    );
  });
});
