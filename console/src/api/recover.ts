import type { QueryClient } from '@tanstack/react-query';

import { reachable } from './client';

/** Between two looks, and before the first: whatever is wrong, no page makes it worse by asking without pause. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 2_000 + 2_000 * Math.random()));

/** While the platform is away it is asked for life; when it is back, everything shown is asked for anew. */
export function watchReachable(queries: QueryClient): void {
  let looking = false;
  reachable.subscribe(() => {
    if (!reachable.get() && !looking) void look();
  });

  async function look(): Promise<void> {
    looking = true;
    do await pause();
    while (!(await isReady()));
    looking = false;
    reachable.set(true);
    await queries.invalidateQueries();
  }
}

const isReady = () => fetch('/readyz').then((response) => response.ok, () => false);

/** Something hints that the platform is away. */
export const suspect = () => fetch('/readyz').catch(() => reachable.set(false));
