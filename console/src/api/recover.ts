import type { QueryClient } from '@tanstack/react-query';

import { reachable } from './client';

const PAUSE_MS = 2_000;

/** While the platform is away it is asked for life; when it is back, everything shown is asked for anew. */
export function watchReachable(queries: QueryClient): void {
  let looking = false;
  reachable.subscribe(() => {
    if (!reachable.get() && !looking) void look();
  });

  async function look(): Promise<void> {
    looking = true;
    while (!(await isReady())) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    looking = false;
    reachable.set(true);
    await queries.invalidateQueries();
  }
}

const isReady = () => fetch('/readyz').then((response) => response.ok, () => false);
