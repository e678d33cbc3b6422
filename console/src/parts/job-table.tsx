import { useQuery } from '@tanstack/react-query';
import { Progress, Segmented, Tag } from 'antd';
import type { ReactNode } from 'react';
import { Link } from 'react-router';

import { api, ask } from '../api/client';
import type { Counts, Job, JobState as State, Page } from '../api/types';
import { useText } from '../texts';
import { StateTag, Time } from './bits';
import { BAD, OFF } from './chart';
import { CursorTable } from './cursor-table';
import { useProducts } from './product-select';

export const STATES = [
  ['confirm', 'CONFIRM'],
  ['queued', 'QUEUED'],
  ['notified', 'NOTIFIED'],
  ['inProgress', 'IN_PROGRESS'],
  ['succeeded', 'SUCCEEDED'],
  ['failed', 'FAILED'],
  ['canceled', 'CANCELED'],
] as const;

export const total = (counts: Counts) => STATES.reduce((sum, [key]) => sum + counts[key], 0);

interface Props {
  of: readonly unknown[];
  query: { productKey?: string | undefined; packageId?: string; state?: State | undefined };
  empty: ReactNode;
}

const JOB_STATES: State[] = ['IN_PROGRESS', 'PLANNED', 'COMPLETED', 'CANCELED'];

/** The state of an address, if it is one. */
export const jobStateOf = (text: string | null) => JOB_STATES.find((state) => state === text);

/** Narrows a list of jobs to one state, or to none. */
export function JobStates({ value, use }: { value: State | undefined; use: (state: State | undefined) => void }) {
  const { t, code } = useText();
  return (
    <Segmented<State | 'ALL'>
      aria-label={t('state')}
      value={value ?? 'ALL'}
      onChange={(state) => use(state === 'ALL' ? undefined : state)}
      options={[...JOB_STATES.map((value) => ({ value, label: code('jobState', value) })), { value: 'ALL' as const, label: t('all') }]}
    />
  );
}

export function JobTable({ of, query, empty }: Props) {
  const { t, code } = useText();
  return (
    <CursorTable<Job>
      of={of}
      label={t('jobs')}
      get={(cursor) => ask(api.GET('/api/v1/jobs', { params: { query: { ...query, order: 'desc', cursor } } })).then(heldFirst)}
      rowKey={(job) => job.id}
      empty={empty}
      columns={[
        { title: t('job'), render: (_, { id }) => <Link to={`/jobs/${id}`}>{id}</Link> },
        { title: t('state'), render: (_, job) => <JobState job={job} /> },
        { title: t('progress'), width: 220, render: (_, { counts }) => <Ended counts={counts} /> },
        ...(query.packageId || query.productKey
          ? []
          : [{ title: t('product'), render: (_: unknown, { productKey }: Job) => <ProductLink productKey={productKey} /> }]),
        ...(query.packageId ? [] : [{ title: t('package'), render: (_: unknown, { packageId }: Job) => <PackageLink packageId={packageId} /> }]),
        { title: t('jobKind'), render: (_, { kind }) => code('jobKind', kind) },
        { title: t('scope'), render: (_, { scope }) => t(`scope.${scope.kind}`) },
        { title: t('createdAt'), render: (_, { createdAt }) => <Time at={createdAt} /> },
      ]}
    />
  );
}

/** Held jobs wait for the operator. */
const heldFirst = (page: Page<Job>): Page<Job> => ({ ...page, items: [...page.items].sort((a, b) => Number(!!b.hold) - Number(!!a.hold)) });

/** A product by its name. */
function ProductLink({ productKey }: { productKey: string }) {
  const products = useProducts();
  return <Link to={`/products/${productKey}`}>{products.data?.find((product) => product.productKey === productKey)?.name ?? productKey}</Link>;
}

/** A package by its name, which never changes. */
function PackageLink({ packageId }: { packageId: string }) {
  const query = useQuery({
    queryKey: ['package-name', packageId],
    staleTime: Infinity,
    refetchInterval: false,
    queryFn: () => ask(api.GET('/api/v1/packages/{packageId}', { params: { path: { packageId } } })),
  });
  return <Link to={`/packages/${packageId}`}>{query.data?.name ?? packageId}</Link>;
}

export function JobState({ job }: { job: Job }) {
  const { t } = useText();
  return (
    <>
      <StateTag kind="jobState" state={job.state} looks={job.state === 'COMPLETED' && job.counts.failed > 0 ? 'asks' : undefined} />
      {job.hold && <Tag className="asks">{t(job.hold.kind === 'paused' ? 'hold.paused' : 'hold.halted')}</Tag>}
    </>
  );
}

/** How a job's devices have ended, of how many. */
export function Ended({ counts }: { counts: Counts }) {
  const { t } = useText();
  const whole = total(counts);
  const percent = (part: number) => (whole === 0 ? 0 : Math.floor((100 * part) / whole));
  return (
    <div>
      <Progress
        percent={percent(counts.succeeded + counts.failed + counts.canceled)}
        success={{ percent: percent(counts.succeeded) }}
        strokeColor={counts.failed > 0 ? BAD : OFF}
        showInfo={false}
        size="small"
        aria-label={t('progress')}
      />
      {t(counts.canceled > 0 ? 'ofTasks.canceled' : 'ofTasks', { ...counts, whole })}
    </div>
  );
}
