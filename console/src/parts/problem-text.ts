import { Refusal } from '../api/client';
import { TooLong } from '../api/pages';
import { FileChanged } from '../api/upload';
import type { Problem } from '../api/types';
import type { Text, Values } from '../texts';
import { fieldText } from './words';

/** What a field is called on the pages; itself if it is on none. */
function nameOf(text: Text, field: unknown): string {
  const told = fieldText(text, String(field));
  return told === field ? text.code('', told) : told;
}

/** The values of a problem that can stand in a sentence. */
function plain(text: Text, params: Record<string, unknown>): Values {
  const entries = Object.entries(params).flatMap(([name, value]): [string, string | number][] => {
    if (name === 'field') return [[name, nameOf(text, value)]];
    if (name === 'fields' && Array.isArray(value)) return [[name, value.map((field) => nameOf(text, field)).join('、')]];
    if (typeof value === 'string' || typeof value === 'number') return [[name, value]];
    return Array.isArray(value) && value.every((one) => typeof one === 'string') ? [[name, value.join(', ')]] : [];
  });
  return Object.fromEntries(entries);
}

/** The fields that a problem is about, the first of them first. */
export function fieldsOf({ params = {} }: Pick<Problem, 'params'>): string[] {
  const { field, fields } = params as { field?: unknown; fields?: unknown };
  return [field, ...(Array.isArray(fields) ? (fields as unknown[]) : [])].filter((name) => typeof name === 'string');
}

/** The platform's English, with the terms of a job called as on the pages. */
function inWords(text: Text, { detail, params }: Problem): string {
  return fieldsOf({ params }).reduce((told, field) => {
    const name = fieldText(text, field);
    return name === field ? told : told.replace(new RegExp(`(?<![“\\w])${field}(?![\\w”])`, 'g'), `“${name}”`);
  }, detail);
}

/** Codes whose own sentence does not say all: the platform's English says what is allowed. */
export const VAGUE = new Set(['badField', 'customInvalid', 'gateInvalid', 'internal', 'policyInvalid', 'scheduleInvalid', 'tagsInvalid', 'termsContradict', 'textInvalid', 'windowsInvalid']);

/** What went wrong, in one sentence. */
export function problemText(text: Text, error: unknown): string {
  const { t, n, code, language } = text;
  if (error instanceof TooLong) return t('tooLong', { count: n(error.items) });
  if (error instanceof FileChanged) return t('fileChanged', { name: error.fileName });
  if (!(error instanceof Refusal)) return t('unreachable');
  const { problem } = error;
  // The platform's own English says more than a sentence by the code alone can.
  if (language === 'en') return inWords(text, problem);
  const values = plain(text, problem.params ?? {});
  // One code may come with other values at another place.
  const fits = (code: string, sentence: string) => sentence !== code && [...sentence.matchAll(/\{(\w+)\}/g)].every(([, name]) => values[name!] !== undefined);
  const told = [problem.code, `${problem.code}.several`].find((one) => fits(one, code('problem', one)));
  return told ? code('problem', told, values) : problem.detail;
}
