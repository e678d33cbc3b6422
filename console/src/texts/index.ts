import { useSyncExternalStore } from 'react';

import { Store } from '../api/store';
import { en, type TextKey } from './en';
import { problems } from './problems-zh-CN';
import { zh } from './zh-CN';

export type Language = 'en' | 'zh-CN';
export type { TextKey };

const KEY = 'otaru-language';
const texts: Record<Language, Record<TextKey, string>> = { en, 'zh-CN': zh };
/** Of what is refused the platform itself tells in English. */
const refusals: Record<Language, Record<string, string>> = { en: {}, 'zh-CN': problems };

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

export type Values = Record<string, string | number>;

/** Fills `{name}` in a text; what is not given stays as it is written. */
export function fill(text: string, values: Values = {}): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

export interface Text {
  language: Language;
  t: (key: TextKey, values?: Values) => string;
  /** The text of a code of the platform, as `reason.timeout`; the code itself if it has none. */
  code: (kind: string, code: string, values?: Values) => string;
  n: (number: number) => string;
}

export function textIn(language: Language): Text {
  const of = texts[language];
  const format = new Intl.NumberFormat(language);
  const n = (number: number) => format.format(number);
  const written = (values?: Values) =>
    values && Object.fromEntries(Object.entries(values).map(([k, v]) => [k, typeof v === 'number' ? n(v) : v]));
  return {
    language,
    n,
    t: (key, values) => fill(of[key], written(values)),
    code: (kind, code, values) => {
      const text = kind === 'problem' ? refusals[language][code] : of[`${kind}.${code}` as TextKey];
      return text === undefined ? code : fill(text, written(values));
    },
  };
}

export function useText(): Text {
  return textIn(useSyncExternalStore(language.subscribe, language.get));
}
