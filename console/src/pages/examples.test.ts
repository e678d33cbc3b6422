import { expect, test } from 'vitest';

import { examplesOf, saidBy } from './examples';

test('three devices are named for each reason', () => {
  const tasks = ['a', 'b', 'c', 'd', 'e', 'f'].map((deviceName, at) => ({ deviceName, why: at === 1 ? null : at === 5 ? 'full' : 'cut' }));
  expect(examplesOf(tasks, ({ why }) => why)).toEqual({ cut: ['a', 'c', 'd'], full: ['f'] });
});

test('failures are grouped by the words of the devices', () => {
  const failed = (deviceName: string, step: number, desc: string) => ({ deviceName, reason: { code: 'deviceFailed' as const, step, desc } });
  const full = ['a', 'b', 'c', 'd'].map((name) => failed(name, -4, 'flash is full'));
  const tasks = [failed('e', -2, 'reset'), ...full, { deviceName: 'f', reason: { code: 'timeout' as const, minutes: 5 } }];
  expect(saidBy(tasks)).toEqual([
    { step: -4, desc: 'flash is full', count: 4, names: ['a', 'b', 'c'] },
    { step: -2, desc: 'reset', count: 1, names: ['e'] },
  ]);
});
