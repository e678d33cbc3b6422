import { afterEach, beforeEach, expect, test, vi } from 'vitest';

let kept: Record<string, string>;
let reloads: number;
let isThere: boolean;

beforeEach(() => {
  [kept, reloads, isThere] = [{}, 0, true];
  vi.useFakeTimers();
  vi.stubGlobal('window', { addEventListener: () => {}, location: { reload: () => reloads++ } });
  vi.stubGlobal('document', { querySelector: () => ({ src: '/assets/index-1.js' }) });
  vi.stubGlobal('sessionStorage', { getItem: (key: string) => kept[key] ?? null, setItem: (key: string, value: string) => (kept[key] = value) });
  vi.stubGlobal('fetch', () => (isThere ? Promise.resolve(new Response()) : Promise.reject(new TypeError())));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('a page that misses a part is loaded anew once the platform answers, and once for a build', async () => {
  const { loadAnew, loadAnewOnce } = await import('./missing');
  isThere = false;
  void loadAnewOnce(new AbortController().signal);
  await loadAnew();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(reloads, 'the browser would have nothing to show').toBe(0);
  isThere = true;
  await vi.advanceTimersByTimeAsync(2_000);
  expect(reloads).toBe(1);
  await loadAnewOnce(new AbortController().signal);
  expect(reloads, 'it did not help').toBe(1);
  await loadAnew();
  expect(reloads, 'the operator asks for it').toBe(2);
  const gone = new AbortController();
  gone.abort();
  kept = {};
  await loadAnewOnce(gone.signal);
  expect(reloads, 'another page is looked at').toBe(2);
});
