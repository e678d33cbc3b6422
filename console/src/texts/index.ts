import { useSyncExternalStore } from 'react';

import { Store } from '../api/store';
import { en, type TextKey } from './en';
import { fill, type Values, writingOf } from './fill';
import { problems, warnings } from './problems-zh-CN';
import { zh } from './zh-CN';

export type Language = 'en' | 'zh-CN';
export type { TextKey, Values };

const KEY = 'otaru-language';
const texts: Record<Language, Record<TextKey, string>> = { en, 'zh-CN': zh };
/** Of what is refused, or hardly meant, the platform itself tells in English. */
const told = { en: { problem: {}, warning: {} }, 'zh-CN': { problem: problems, warning: warnings } };

/** The language of this browser's operator: chosen, else the browser's own. */
export const language = new Store<Language>(first());

function first(): Language {
  const chosen = localStorage.getItem(KEY) ?? navigator.language;
  return chosen.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en';
}

export function choose(next: Language): void {
  localStorage.setItem(KEY, next);
  language.set(next);
}

export interface Text {
  language: Language;
  t: (key: TextKey, values?: Values) => string;
  /** The text of a code of the platform, as `reason.timeout`, without a kind as `timezone`; the code itself if it has none. */
  code: (kind: string, code: string, values?: Values) => string;
  n: (number: number) => string;
}

export function textIn(language: Language): Text {
  const of = texts[language];
  const writing = writingOf(language);
  return {
    language,
    n: writing.n,
    t: (key, values) => fill(writing, of[key], values),
    code: (kind, code, values) => {
      const texts: Record<string, string> = kind === 'problem' || kind === 'warning' ? told[language][kind] : of;
      const text = texts[kind in told[language] || kind === '' ? code : `${kind}.${code}`];
      return text === undefined ? code : fill(writing, text, values);
    },
  };
}

const made: Record<Language, Text> = { en: textIn('en'), 'zh-CN': textIn('zh-CN') };

export function useText(): Text {
  return made[useSyncExternalStore(language.subscribe, language.get)];
}
