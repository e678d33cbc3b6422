import { expect, test } from 'vitest';

import { examplesOf } from './examples';

test('three devices are named for each reason', () => {
  const tasks = ['a', 'b', 'c', 'd', 'e', 'f'].map((deviceName, at) => ({ deviceName, why: at === 1 ? null : at === 5 ? 'full' : 'cut' }));
  expect(examplesOf(tasks, ({ why }) => why)).toEqual({ cut: ['a', 'c', 'd'], full: ['f'] });
});
