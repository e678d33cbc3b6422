import { expect, test } from 'vitest';

import { all, filled } from './pages';

const list = (...pages: string[][]) => {
  const asked: (string | undefined)[] = [];
  const get = async (cursor?: string) => {
    asked.push(cursor);
    const at = Number(cursor ?? 0);
    return { items: pages[at]!, nextCursor: at + 1 < pages.length ? String(at + 1) : null };
  };
  return { asked, get };
};

test('empty pages of a filter are passed over', async () => {
  const { asked, get } = list([], [], ['a'], ['b']);
  expect(await filled(get)).toEqual({ items: ['a'], nextCursor: '3' });
  expect(asked).toEqual([undefined, '1', '2']);
});

test('a list in which nothing is found comes to an end', async () => {
  expect(await filled(list([], []).get)).toEqual({ items: [], nextCursor: null });
});

test('all pages make the list', async () => {
  expect(await all(list(['a'], [], ['b', 'c']).get)).toEqual(['a', 'b', 'c']);
});
