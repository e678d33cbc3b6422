import { beforeEach, expect, test, vi } from 'vitest';

import { keep, kept, letGo } from './kept';

let there: Record<string, string>;
let isFull: boolean;

beforeEach(() => {
  [there, isFull] = [{}, false];
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => there[key] ?? null,
    removeItem: (key: string) => delete there[key],
    setItem: (key: string, value: string) => {
      if (isFull) throw new DOMException('full', 'QuotaExceededError');
      there[key] = value;
    },
  });
});

test('what is typed is kept as far as there is room, and nothing older in its stead', () => {
  keep('draft', { csv: 'a' });
  expect(kept('draft')).toEqual({ csv: 'a' });
  keep('draft', { csv: 'a'.repeat(1_000_001) });
  expect(kept('draft')).toBeUndefined();
  keep('draft', { csv: 'b' });
  isFull = true;
  keep('draft', { csv: 'c' });
  expect(kept('draft')).toBeUndefined();
  isFull = false;
  keep('draft', { csv: 'd' });
  letGo('draft');
  expect(kept('draft')).toBeUndefined();
});
