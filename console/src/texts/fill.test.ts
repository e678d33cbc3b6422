import { expect, test } from 'vitest';

import { fill, writingOf } from './fill';

test('a text is filled, and one thing is not many', () => {
  const en = writingOf('en');
  const text = '{count} {count|device has|devices have} {what} {unknown}';
  expect(fill(en, text, { count: 1, what: '{count}' })).toBe('1 device has {count} {unknown}');
  expect(fill(en, text, { count: 12_000, what: 'x' })).toBe('12,000 devices have x {unknown}');
  expect(fill(en, text, { count: 0, what: 'x' })).toBe('0 devices have x {unknown}');
  expect(fill(writingOf('zh-CN'), '{count} 台', { count: 1 })).toBe('1 台');
});
