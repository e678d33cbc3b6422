import { Alert } from 'antd';

import { Refusal } from '../api/client';
import { TooLong } from '../api/pages';
import { type Text, useText, type Values } from '../texts';

/** The values of a problem that can stand in a sentence. */
function plain(params: Record<string, unknown>): Values {
  const entries = Object.entries(params).flatMap(([name, value]): [string, string | number][] => {
    if (typeof value === 'string' || typeof value === 'number') return [[name, value]];
    return Array.isArray(value) && value.every((one) => typeof one === 'string') ? [[name, value.join(', ')]] : [];
  });
  return Object.fromEntries(entries);
}

/** What went wrong, in one sentence. */
export function problemText({ t, n, code, language }: Text, error: unknown): string {
  if (error instanceof TooLong) return t('tooLong', { count: n(error.items) });
  if (!(error instanceof Refusal)) return t('unreachable');
  const { problem } = error;
  // The platform's own English says more than a sentence by the code alone can.
  if (language === 'en') return problem.detail;
  const values = plain(problem.params ?? {});
  const text = code('problem', problem.code);
  // One code may come with other values at another place.
  const lacks = [...text.matchAll(/\{(\w+)\}/g)].some(([, name]) => values[name!] === undefined);
  return text === problem.code || lacks ? problem.detail : code('problem', problem.code, values);
}

export function ProblemAlert({ error }: { error: unknown }) {
  const text = useText();
  if (!error) return null;
  const title = problemText(text, error);
  const detail = error instanceof Refusal && error.problem.detail !== title ? error.problem.detail : undefined;
  return <Alert type="error" showIcon title={title} description={detail} role="alert" />;
}
