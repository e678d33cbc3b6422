import { QueryClient } from '@tanstack/react-query';

import { Refusal } from './client';

/** What can be seen only by asking, as a job's reasons of waiting, is asked for again this often. */
export const POLL_MS = 15_000;

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchInterval: POLL_MS,
      // A refusal stays one; a platform that is away comes back (recover.ts).
      retry: (failures, error) => !(error instanceof Refusal) && failures < 2,
    },
  },
});
