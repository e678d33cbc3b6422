import { beforeEach, expect, test, vi } from 'vitest';

import { happened } from './events';
import type { Event } from './types';

type Query = Record<string, string | number | undefined>;

let asked: Query[];
/** Which of so many events, the newest first, are about a job. */
let all: boolean[];

vi.mock('./client', () => ({ ask: (answer: unknown) => answer, api: { GET: (_: string, { params }: { params: { query: Query } }) => answer(params.query) } }));

async function answer(query: Query) {
  asked.push(query);
  const [from, limit] = [Number(query['cursor'] ?? 0), Number(query['limit'])];
  const items = all.slice(from, from + limit).map((isJob, at) => ({ seq: all.length - from - at, productKey: 'a1', code: isJob ? 'jobHeld' : 'versionChanged' }) as Event);
  return { items, ...(from + limit < all.length && { nextCursor: String(from + limit) }) };
}

beforeEach(() => {
  asked = [];
});

test('events about one thing are looked for among many, but not without end', async () => {
  all = Array.from({ length: 5_000 }, (_, at) => at === 1_500 || at === 4_000);
  const first = await happened({ productKey: 'a1', about: 'jobs' }, 50);
  expect(first.items.map(({ seq }) => seq)).toEqual([3_500]);
  expect(first.nextCursor).toBe('2000');
  expect(asked).toHaveLength(10);
  expect(asked.every((query) => query['productKey'] === 'a1' && !('about' in query))).toBe(true);
  const second = await happened({ about: 'jobs' }, 1, '3900');
  expect([second.items.length, second.nextCursor]).toEqual([1, '4100']);
  const last = await happened({ about: 'jobs' }, 50, '4100');
  expect(last).toEqual({ items: [], nextCursor: null });
  all = [true, false];
  expect((await happened({}, 50)).items).toHaveLength(2);
});
