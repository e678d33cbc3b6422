/** Characters beyond which nothing is kept: a browser has room for a few million of them for all pages of a tab. */
const MOST = 1_000_000;

/** Keeps something typed with the tab, as far as the browser has room: what does not fit is only on the page. */
export function keep(key: string, value: unknown): void {
  const text = JSON.stringify(value);
  try {
    if (text.length > MOST) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, text);
  } catch {
    sessionStorage.removeItem(key);
  }
}

/** What was kept, or nothing. */
export function kept<T>(key: string): T | undefined {
  const text = sessionStorage.getItem(key);
  return text === null ? undefined : (JSON.parse(text) as T);
}

export const letGo = (key: string) => sessionStorage.removeItem(key);
