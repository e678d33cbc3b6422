import type { UseQueryResult } from '@tanstack/react-query';
import { Alert, Skeleton } from 'antd';
import type { ReactNode } from 'react';

import { Refusal } from '../api/client';
import { useText } from '../texts';
import { ProblemAlert } from './problem';
import { problemText } from './problem-text';

const isGone = (error: unknown) => error instanceof Refusal && error.problem.status === 404;

/** That the platform is away, or takes the token no more, the page says once and not at each place. */
const isSaidOnce = (error: unknown) => !(error instanceof Refusal) || error.problem.status === 401 || error.problem.code === 'notUp';

/** What was asked for, unless it is gone since. */
export const present = <T,>({ data, error }: UseQueryResult<T>) => (isGone(error) ? undefined : data);

/** What was asked for, or that it is on its way, or why it is not there. */
export function Loaded<T>({ query, children }: { query: UseQueryResult<T>; children: (data: T) => ReactNode }) {
  const { data, error } = query;
  if (data === undefined) return error ? <ProblemAlert error={error} /> : <Skeleton active />;
  if (isGone(error)) return <Gone error={error} />;
  return (
    <>
      <ProblemAlert error={isSaidOnce(error) ? null : error} />
      {children(data)}
    </>
  );
}

function Gone({ error }: { error: unknown }) {
  const text = useText();
  return <Alert type="warning" showIcon role="alert" title={text.t('gone')} description={problemText(text, error)} />;
}
