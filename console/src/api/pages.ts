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

/** All items of a list, at most so many pages of it. */
export async function all<T>(get: (cursor?: string) => Promise<Page<T>>, pages = 1000): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < pages; page++) {
    const part = await get(cursor);
    items.push(...part.items);
    if (!part.nextCursor) break;
    cursor = part.nextCursor;
  }
  return items;
}
