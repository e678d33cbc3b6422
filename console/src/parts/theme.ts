import { useSyncExternalStore } from 'react';

import { Store } from '../api/store';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'otaru-theme';
const dark = window.matchMedia('(prefers-color-scheme: dark)');

export const theme = new Store<Theme>((localStorage.getItem(KEY) as Theme | null) ?? 'system');

export function chooseTheme(next: Theme): void {
  localStorage.setItem(KEY, next);
  theme.set(next);
}

function subscribe(follower: () => void): () => void {
  const unsubscribe = theme.subscribe(follower);
  dark.addEventListener('change', follower);
  return () => {
    unsubscribe();
    dark.removeEventListener('change', follower);
  };
}

const isDark = () => (theme.get() === 'system' ? dark.matches : theme.get() === 'dark');

/** Whether the page is dark now. */
export const useDark = () => useSyncExternalStore(subscribe, isDark);
