import { expect, test } from 'vitest';

import { all, filled, picked, TooLong } from './pages';

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

test('a list that goes on is not cut without a word', async () => {
  const pages = [['a'], ['b'], ['c']];
  expect(await all(list(...pages).get, 3)).toEqual(['a', 'b', 'c']);
  await expect(all(list(...pages).get, 2)).rejects.toEqual(new TooLong(2));
});

test('what fits is looked for until there is enough, on so many pages', async () => {
  const pages = [['a', 'x'], ['b'], ['c'], ['d']];
  const fits = (item: string) => item !== 'x';
  const enough = list(...pages);
  expect(await picked(enough.get, fits, 2, 4)).toEqual(['a', 'b']);
  expect(enough.asked).toHaveLength(2);
  expect(await picked(list(...pages).get, fits, 9, 3)).toEqual(['a', 'b', 'c']);
  expect(await picked(list(['x']).get, fits, 9, 3)).toEqual([]);
});
