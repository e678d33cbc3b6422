import { Alert } from 'antd';

import { Refusal } from '../api/client';
import { TooLong } from '../api/pages';
import { FileChanged } from '../api/upload';
import { type Text, useText, type Values } from '../texts';
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

/** Codes whose own sentence does not say all: the platform's English says what is allowed. */
const VAGUE = new Set(['badField', 'customInvalid', 'gateInvalid', 'internal', 'policyInvalid', 'scheduleInvalid', 'tagsInvalid', 'termsContradict', 'textInvalid', 'windowsInvalid']);

/** What went wrong, in one sentence. */
export function problemText(text: Text, error: unknown): string {
  const { t, n, code, language } = text;
  if (error instanceof TooLong) return t('tooLong', { count: n(error.items) });
  if (error instanceof FileChanged) return t('fileChanged', { name: error.fileName });
  if (!(error instanceof Refusal)) return t('unreachable');
  const { problem } = error;
  // The platform's own English says more than a sentence by the code alone can.
  if (language === 'en') return problem.detail;
  const values = plain(text, problem.params ?? {});
  // One code may come with other values at another place.
  const fits = (code: string, sentence: string) => sentence !== code && [...sentence.matchAll(/\{(\w+)\}/g)].every(([, name]) => values[name!] !== undefined);
  const told = [problem.code, `${problem.code}.several`].find((one) => fits(one, code('problem', one)));
  return told ? code('problem', told, values) : problem.detail;
}

/** What is hardly meant, in one sentence. */
export function warningText({ code }: Text, warning: { code: string; text: string }): string {
  const told = code('warning', warning.code);
  return told === warning.code ? warning.text : told;
}

export function ProblemAlert({ error }: { error: unknown }) {
  const text = useText();
  if (!error) return null;
  const title = problemText(text, error);
  const detail = error instanceof Refusal && VAGUE.has(error.problem.code) && error.problem.detail !== title ? error.problem.detail : undefined;
  return <Alert type="error" showIcon title={title} description={detail} role="alert" />;
}
