import { expect, test } from 'vitest';
import { tableText } from './table.ts';

test('columns are as wide as their widest cell, and no line ends in spaces', () => {
  expect(
    tableText([
      ['A', 'B'],
      ['long', ''],
      ['x', 'y'],
    ]),
  ).toBe('A     B\nlong\nx     y\n');
});
