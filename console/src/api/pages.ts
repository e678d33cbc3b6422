import type { Page } from './types';

/** Pages of a filter looked at until something is found. */
const MOST = 20;

/**
 * The next page that holds something. A page of a filter may be empty and not be the last, because the platform
 * looks at a bounded number of devices for each.
 */
export async function filled<T>(get: (cursor?: string) => Promise<Page<T>>, cursor?: string): Promise<Page<T>> {
  let page = await get(cursor);
  for (let looked = 1; page.items.length === 0 && page.nextCursor && looked < MOST; looked++) {
    page = await get(page.nextCursor);
  }
  return page;
}

/** A list has more pages than are read of it: what was read is not all. */
export class TooLong extends Error {
  constructor(readonly items: number) {
    super(`the list goes on after ${items} items`);
  }
}

/** All items of a list. One that goes on after so many pages (with 200 items each, 2 000 000) is refused, not cut. */
export async function all<T>(get: (cursor?: string) => Promise<Page<T>>, pages = 10_000): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < pages; page++) {
    const part = await get(cursor);
    items.push(...part.items);
    if (!part.nextCursor) return items;
    cursor = part.nextCursor;
  }
  throw new TooLong(items.length);
}

/**
 * Items of a list that fit, looked for on so many pages of it until there are enough; `nextCursor` is where it would go
 * on.
 */
export async function lookedFor<T>(get: (cursor?: string) => Promise<Page<T>>, fits: (item: T) => boolean, enough: number, pages: number, cursor?: string): Promise<Page<T>> {
  const items: T[] = [];
  let next: string | null | undefined = cursor;
  for (let page = 0; page < pages && items.length < enough; page++) {
    const part = await get(next ?? undefined);
    items.push(...part.items.filter(fits));
    next = part.nextCursor;
    if (!next) break;
  }
  return { items, nextCursor: next ?? null };
}

/** As above, of a whole list, for who asks no further. */
export const picked = async <T>(get: (cursor?: string) => Promise<Page<T>>, fits: (item: T) => boolean, enough: number, pages: number): Promise<T[]> =>
  (await lookedFor(get, fits, enough, pages)).items;
