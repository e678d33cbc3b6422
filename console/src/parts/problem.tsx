import { Alert } from 'antd';

import { Refusal } from '../api/client';
import { useText } from '../texts';
import { problemText, VAGUE } from './problem-text';

/** What is hardly meant, though it is done. */
export function Warnings({ of = [] }: { of: { code: string; text: string }[] | undefined }) {
  const { code } = useText();
  return of.map((warning) => {
    const told = code('warning', warning.code);
    return <Alert key={warning.code} type="warning" showIcon title={told === warning.code ? warning.text : told} />;
  });
}

export function ProblemAlert({ error }: { error: unknown }) {
  const text = useText();
  if (!error) return null;
  const title = problemText(text, error);
  const detail = error instanceof Refusal && VAGUE.has(error.problem.code) && error.problem.detail !== title ? error.problem.detail : undefined;
  return <Alert type="error" showIcon title={title} description={detail} role="alert" />;
}
