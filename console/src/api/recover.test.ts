import type { QueryClient } from '@tanstack/react-query';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

let answer: () => Promise<Response>;
let isReady: boolean;
let invalidated: number[];

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('window', { addEventListener: () => {} });
  vi.stubGlobal('localStorage', { getItem: () => 'token' });
  vi.stubGlobal('fetch', (request: Request | string) => (request === '/readyz' ? Promise.resolve(new Response(null, { status: isReady ? 200 : 503 })) : answer()));
  [isReady, invalidated] = [true, []];
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const problem = (code: string) => () => Promise.resolve(Response.json({ code, detail: code }, { status: 503 }));

test('a platform that is only busy is not away, and one that is away is not asked without pause', async () => {
  const { fetchAs, reachable } = await import('./client');
  const { watchReachable } = await import('./recover');
  watchReachable({ invalidateQueries: async () => void invalidated.push(Date.now()) } as unknown as QueryClient);
  const ask = () => fetchAs(new Request('http://localhost/api/v1/products')).catch(() => null);
  const away = async (next: () => Promise<Response>) => {
    answer = next;
    await ask();
    const isAway = !reachable.get();
    await vi.advanceTimersByTimeAsync(10_000);
    return isAway;
  };
  expect(await away(problem('databaseUnavailable'))).toBe(false);
  expect(invalidated).toEqual([]);

  expect(await away(problem('notUp'))).toBe(true);
  expect(await away(() => Promise.resolve(new Response('bad gateway', { status: 502 })))).toBe(true);
  expect(await away(() => Promise.resolve(new Response('unavailable', { status: 503 })))).toBe(true);
  expect(await away(() => Promise.reject(new TypeError('failed to fetch')))).toBe(true);
  expect(invalidated).toHaveLength(4);

  const before = Date.now();
  answer = problem('notUp');
  await ask();
  isReady = false;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(invalidated).toHaveLength(4);
  isReady = true;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(invalidated.at(-1)! - before).toBeGreaterThan(60_000);

  // Whatever stays wrong although the platform says that it is well.
  await ask();
  await vi.advanceTimersByTimeAsync(1_900);
  expect(invalidated).toHaveLength(5);
});
