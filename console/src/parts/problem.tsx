import { Alert } from 'antd';

import { Refusal } from '../api/client';
import { type Text, useText } from '../texts';

/** What went wrong, in one sentence. */
export function problemText({ t, code, language }: Text, error: unknown): string {
  if (!(error instanceof Refusal)) return t('unreachable');
  const { problem } = error;
  const text = code('problem', problem.code);
  // The platform's own English says more than a sentence by the code alone can.
  return language === 'en' || text === problem.code ? problem.detail : text;
}

export function ProblemAlert({ error }: { error: unknown }) {
  const text = useText();
  if (!error) return null;
  const title = problemText(text, error);
  const detail = error instanceof Refusal && error.problem.detail !== title ? error.problem.detail : undefined;
  return <Alert type="error" showIcon title={title} description={detail} role="alert" />;
}
