/** Loads of parts of this page that failed: the platform is away, or has another build since. */
const failed = new WeakSet<object>();

// Vite tells of each, however the browser words it.
window.addEventListener('vite:preloadError', ({ payload }) => failed.add(payload));

/** Whether an error is that a part of the page could not be loaded. */
export const isMissing = (error: unknown) => typeof error === 'object' && error !== null && failed.has(error);

const KEY = 'otaru-reloaded';
const PAUSE_MS = 2_000;

const isThere = () => fetch('/').then(({ ok }) => ok, () => false);

/** Loads the page anew if the platform gives it: else the browser would have nothing to show. */
export async function loadAnew(): Promise<void> {
  if (await isThere()) window.location.reload();
}

/** The same as soon as the platform gives it, but once for a build: one that still misses its part is left as it is. */
export async function loadAnewOnce(signal: AbortSignal): Promise<void> {
  const build = document.querySelector('script')?.src ?? '';
  if (sessionStorage.getItem(KEY) === build) return;
  while (!signal.aborted && !(await isThere())) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  if (signal.aborted) return;
  sessionStorage.setItem(KEY, build);
  window.location.reload();
}
