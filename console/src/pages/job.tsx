import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Card, Descriptions, Grid, Progress, Segmented, Statistic, Tag } from 'antd';
import { Link, useParams, useSearchParams } from 'react-router';

import { api, ask, given, Refusal } from '../api/client';
import { csv, save } from '../api/csv';
import { all, filled, picked } from '../api/pages';
import { ENDED } from '../api/touched';
import type { Job, ReasonCount, Task, TaskState } from '../api/types';
import { Copy, DeviceLink, LinkButton, NextStep, Time } from '../parts/bits';
import { CursorTable } from '../parts/cursor-table';
import { DataTable } from '../parts/data-table';
import { History } from '../parts/event-list';
import { Ended, JobState, STATES, total } from '../parts/job-table';
import { Loaded } from '../parts/loaded';
import { span } from '../parts/numbers';
import { Outcomes } from '../parts/outcomes';
import { Page } from '../parts/page';
import { ProblemAlert } from '../parts/problem';
import { SearchField } from '../parts/search-field';
import { SureButton } from '../parts/sure';
import { taskColumns } from '../parts/task';
import { TaskTimeline } from '../parts/timeline';
import { haltText, termText } from '../parts/words';
import { type Text, useText } from '../texts';
import { JobChange } from './job-change';
import { usePackage } from './package';
import { useProduct } from './product';
import { EXAMPLES, examplesOf, saidBy } from './examples';
import { nextWaveAt, secondsLeft, troubled } from './pace';

export default function JobPage() {
  const { t } = useText();
  const { jobId = '' } = useParams();
  const query = useQuery({
    queryKey: ['job', jobId],
    queryFn: () => ask(api.GET('/api/v1/jobs/{jobId}', { params: { path: { jobId } } })),
  });
  const of = usePackage(query.data?.packageId ?? '');
  const productKey = query.data?.productKey ?? '';
  const product = useProduct(productKey);
  const title = of.data
    ? t(query.data?.kind === 'VERIFY' ? 'jobTitle.verify' : 'jobTitle', { version: of.data.version, module: of.data.module })
    : `${t('job')} ${jobId}`;
  const within = [
    { text: t('jobs'), to: '/jobs' },
    ...(productKey ? [{ text: product.data?.name ?? productKey, to: `/products/${productKey}` }] : []),
  ];
  const orders = query.data && <Orders job={query.data} isPackageThere={!(of.error instanceof Refusal)} />;
  return (
    <Page title={title} within={within} actions={orders}>
      <Loaded query={query}>
        {(job) => (
          <>
            <Hold job={job} />
            {job.kind === 'VERIFY' && of.data?.state === 'VERIFIED' && (
              <Alert
                type="success"
                showIcon
                title={t('job.verified')}
                action={
                  <LinkButton primary to={`/packages/${job.packageId}/new-job`}>
                    {t('newJob')}
                  </LinkButton>
                }
              />
            )}
            <State job={job} />
            <Waves job={job} />
            <Results job={job} />
            <Tasks job={job} />
            <Facts job={job} packageName={of.data?.name} productName={product.data?.name} />
            <Card title={t('events')}>
              <History of={{ jobId }} size={20} />
            </Card>
          </>
        )}
      </Loaded>
    </Page>
  );
}

type Order = 'pause' | 'resume' | 'cancel' | 'close' | 'approve' | 're-upgrade' | 'skip';

const runs = ({ state }: Job) => state === 'IN_PROGRESS' || state === 'PLANNED';

/** Tasks that start again if the job is upgraded again: those cancelled with it among them. */
const again = ({ state, counts, terms: { endAt } }: Job) =>
  endAt && Date.parse(endAt) <= Date.now() ? 0 : counts.failed + (state === 'CANCELED' ? counts.canceled : 0);

/** What an operator can order now. */
function possible(job: Job, isPackageThere: boolean): Order[] {
  const orders: Order[] = [];
  const goesOn = job.state === 'IN_PROGRESS' && !job.hold;
  if (goesOn) orders.push('pause');
  if (runs(job) && job.hold) orders.push('resume');
  if (goesOn && job.progress && job.progress.wave < job.progress.waves.length) orders.push('skip');
  if (job.counts.confirm > 0) orders.push('approve');
  if (again(job) > 0 && isPackageThere) orders.push('re-upgrade');
  if (runs(job) && job.kind === 'DYNAMIC' && !job.closedAt) orders.push('close');
  if (runs(job)) orders.push('cancel');
  return orders;
}

/** What is asked before an order, with what it would bring about. */
function sureText({ t }: Text, what: Order, job: Job): string {
  const { counts, hold } = job;
  if (what === 'resume' && hold?.kind === 'halted') {
    return t('order.resume.halted.sure', { failed: counts.failed + troubled(job).retrying, left: counts.confirm + counts.queued });
  }
  return t(`order.${wordOf(what, job)}.sure`, { count: again(job), begun: counts.inProgress, left: counts.confirm + counts.queued + counts.notified });
}

const wordOf = (what: Order, job: Job) => (what === 're-upgrade' && job.state === 'CANCELED' ? 're-upgrade.canceled' : what);

function Orders({ job, isPackageThere }: { job: Job; isPackageThere: boolean }) {
  const text = useText();
  const { t } = text;
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: (order: Order) => {
      const params = { path: { jobId: job.id } };
      if (order === 'skip') {
        return ask(api.POST('/api/v1/jobs/{jobId}/skip', { params, body: { wave: job.progress!.wave } }));
      }
      return ask(api.POST(`/api/v1/jobs/{jobId}/${order}`, { params }));
    },
    onSettled: () =>
      Promise.all([queries.invalidateQueries({ queryKey: ['job', job.id] }), queries.invalidateQueries({ queryKey: ['jobs'] })]),
  });
  return (
    <>
      {runs(job) && <JobChange job={job} />}
      {possible(job, isPackageThere).map((what) => (
        <SureButton
          key={what}
          title={sureText(text, what, job)}
          danger={what === 'cancel'}
          loading={order.isPending && order.variables === what}
          act={() => order.mutate(what)}
        >
          {t(`order.${wordOf(what, job)}`)}
        </SureButton>
      ))}
      <ProblemAlert error={order.error} />
    </>
  );
}

function Hold({ job }: { job: Job }) {
  const text = useText();
  if (!job.hold) return null;
  const { hold } = job;
  const retrying = hold.kind === 'halted' ? troubled(job).retrying : 0;
  const title = hold.kind === 'paused' ? text.t('hold.paused.detail') : text.t('hold.halted.detail');
  return (
    <Alert
      type={hold.kind === 'paused' ? 'warning' : 'error'}
      showIcon
      title={title}
      description={
        hold.kind === 'halted' && (
          <>
            {text.t('hold.then', { why: haltText(text, hold.halt) })}
            {retrying > 0 && <Retrying job={job} count={retrying} />}
          </>
        )
      }
    />
  );
}

/** The states of tasks of which an attempt may have failed, though they have not ended. */
const BEGUN: TaskState[] = ['IN_PROGRESS', 'NOTIFIED', 'QUEUED'];

/** Pages of tasks of each of these states looked at for what devices said. */
const LOOKED_AT = 5;

/** What went wrong with devices that are to try again, so that nothing of theirs has ended. */
function Retrying({ job, count }: { job: Job; count: number }) {
  const { t } = useText();
  const { id: jobId, productKey } = job;
  const query = useQuery({
    queryKey: ['job', jobId, 'retrying'],
    queryFn: async () => {
      const told = ({ deviceError }: Task) => !!deviceError;
      const of = (state: TaskState) => (cursor?: string) =>
        ask(api.GET('/api/v1/jobs/{jobId}/tasks', { params: { path: { jobId }, query: { state, cursor, limit: 200 } } }));
      const found = await Promise.all(BEGUN.map((state) => picked(of(state), told, count, LOOKED_AT)));
      return examplesOf(found.flat(), ({ deviceError }) => deviceError && t('deviceError', { step: deviceError.step, desc: deviceError.desc }));
    },
  });
  return (
    <>
      <p>{t('hold.retrying', { count })}</p>
      <ul>
        {Object.entries(query.data ?? {}).map(([what, names]) => (
          <li key={what}>
            {what}{' '}
            <span className="row">
              {names.map((deviceName) => (
                <DeviceLink key={deviceName} productKey={productKey} deviceName={deviceName} />
              ))}
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** States with their counts, of how many; and when it may be over. */
function State({ job }: { job: Job }) {
  const { t, n, code } = useText();
  const whole = total(job.counts);
  const left = secondsLeft(job, Date.now());
  const { retrying, lost } = troubled(job);
  return (
    <Card>
      <div className="stack">
        <div className="row">
          <JobState job={job} />
          {job.busy && t('jobBusy')}
        </div>
        <Ended counts={job.counts} />
        <div className="grid tight">
          {STATES.map(([key, state]) => (
            <Statistic key={key} title={code('taskState', state)} value={n(job.counts[key])} suffix={<small>/ {n(whole)}</small>} />
          ))}
          {left !== null && <Statistic title={t('eta')} value={span(left, t)} />}
        </div>
        {retrying + lost > 0 && runs(job) && <Alert type="warning" showIcon title={t('jobTroubled', { retrying, lost })} />}
      </div>
    </Card>
  );
}

function Waves({ job }: { job: Job }) {
  const { t, n } = useText();
  const progress = job.progress;
  if (!progress || progress.waves.length < 2) return null;
  const next = nextWaveAt(job);
  const rows = progress.waves.map((wave, at) => ({ ...wave, number: at + 1 }));
  const state = (number: number) => {
    if (number < progress.wave) return progress.waves[number - 1]!.skipped ? 'skipped' : 'done';
    if (number > progress.wave) return runs(job) ? 'closed' : 'neverOpened';
    return runs(job) ? 'open' : 'ended';
  };
  return (
    <Card title={t('waves')}>
      <DataTable
        aria-label={t('waves')}
        size="small"
        rowKey="number"
        dataSource={rows}
        columns={[
          { title: t('wave'), dataIndex: 'number' },
          { title: t('state'), render: (_, { number }) => t(`wave.${state(number)}`) },
          { title: t('devices'), render: (_, row) => n(row.total) },
          {
            title: t('succeeded'),
            width: 220,
            render: (_, row) => (
              <>
                <Progress percent={row.total ? Math.floor((100 * row.succeeded) / row.total) : 0} size="small" aria-label={t('succeeded')} />
                {t('ofCount', { part: row.succeeded, whole: row.total })}
              </>
            ),
          },
          { title: t('failed'), render: (_, row) => n(row.failed) },
          { title: t('retrying'), render: (_, row) => n(row.retrying) },
          { title: t('lost'), render: (_, row) => n(row.lost) },
        ]}
      />
      <p>
        {t('wave.openedAt')} <Time at={progress.openedAt} />
        {progress.enoughAt && (
          <>
            {' · '}
            {t('wave.enoughAt')} <Time at={progress.enoughAt} />
          </>
        )}
        {next !== null && (
          <>
            {' · '}
            {t('wave.next', { wave: progress.wave + 1 })} <Time at={new Date(next).toISOString()} />
          </>
        )}
      </p>
    </Card>
  );
}

function Results({ job }: { job: Job }) {
  const { t } = useText();
  const { productKey, id: jobId } = job;
  const statistics = useQuery({
    queryKey: ['job', jobId, 'upgrades'],
    queryFn: () =>
      ask(
        api.GET('/api/v1/products/{productKey}/statistics/upgrades', {
          params: { path: { productKey }, query: { jobId, from: job.createdAt } },
        }),
      ),
  });
  if (job.counts.succeeded + job.counts.failed + job.counts.canceled === 0) return null;
  return (
    <Loaded query={statistics}>
      {(of) => (
        <Outcomes
          title={t('upgradeResults')}
          of={of}
          counts={job.counts}
          tasks={(reason) => <Examples productKey={productKey} jobId={jobId} reason={reason} />}
        />
      )}
    </Loaded>
  );
}

/** Tasks looked at for what devices said. */
const HEARD = 200;

/** Some devices whose tasks ended for a reason, by what they said if they did, and the way to all of them. */
function Examples({ productKey, jobId, reason }: { productKey: string; jobId: string; reason: ReasonCount }) {
  const { t, n } = useText();
  const { state, code, tasks } = reason;
  const limit = code === 'deviceFailed' ? HEARD : EXAMPLES;
  // What ends later changes nothing about enough of them.
  const query = useQuery({
    queryKey: ['examples', jobId, state, code, Math.min(tasks, limit)],
    staleTime: Infinity,
    refetchInterval: false,
    placeholderData: keepPreviousData,
    queryFn: () =>
      filled((cursor) =>
        ask(
          api.GET('/api/v1/jobs/{jobId}/tasks', {
            params: { path: { jobId }, query: { state, reason: code, limit, cursor } },
          }),
        ),
      ),
  });
  const found = query.data?.items ?? [];
  const said = saidBy(found);
  const links = (names: string[]) =>
    names.map((deviceName) => <DeviceLink key={deviceName} productKey={productKey} deviceName={deviceName} />);
  return (
    <div>
      {said.map(({ step, desc, count, names }) => (
        <div key={`${step} ${desc}`} className="row">
          <span>{t('examples.said', { step: String(step), desc, count: n(count) })}</span>
          {links(names)}
        </div>
      ))}
      <div className="row">
        {said.length === 0 && links(found.slice(0, EXAMPLES).map(({ deviceName }) => deviceName))}
        <Link to={`?${new URLSearchParams({ state, reason: code })}`} replace>
          {t('examples.all')}
        </Link>
        {said.length > 0 && tasks > HEARD && <span className="hint">{t('examples.some', { count: HEARD })}</span>}
      </div>
    </div>
  );
}

function Tasks({ job }: { job: Job }) {
  const { t, n, code } = useText();
  const wide = Grid.useBreakpoint().md ?? true;
  const [params, setParams] = useSearchParams();
  const wanted = params.get('state');
  const state = STATES.find(([, name]) => name === wanted)?.[1] ?? 'ALL';
  const reason = params.get('reason') ?? undefined;
  const deviceName = params.get('device') ?? undefined;
  const narrow = (state: TaskState | 'ALL', reason?: string, device = deviceName) =>
    setParams(given({ state: state === 'ALL' ? undefined : state, reason, device }) as Record<string, string>, { replace: true });
  const get = (cursor?: string, limit?: number) =>
    ask(
      api.GET('/api/v1/jobs/{jobId}/tasks', {
        params: { path: { jobId: job.id }, query: { state: state === 'ALL' ? undefined : state, reason, deviceName, cursor, limit } },
      }),
    );
  const download = useMutation({
    mutationFn: async () => {
      const tasks = await all((cursor) => get(cursor, 200));
      const rows = tasks.map((task) => [
        task.deviceName,
        task.srcVersion ?? '',
        task.destVersion,
        task.state,
        String(task.progress),
        task.reason?.code ?? task.waiting?.code ?? '',
        task.deviceError ? `${task.deviceError.step} ${task.deviceError.desc}` : '',
        String(task.attempt),
        task.updatedAt,
      ]);
      const head = ['deviceName', 'srcVersion', 'destVersion', 'state', 'progress', 'reason', 'deviceError', 'attempt', 'updatedAt'];
      save(`${job.id}.csv`, csv([head, ...rows]));
    },
  });
  const states = [
    { value: 'ALL' as const, label: t('tabCount', { name: t('all'), count: n(total(job.counts)) }) },
    ...STATES.map(([key, value]) => ({ value, label: t('tabCount', { name: code('taskState', value), count: n(job.counts[key]) }) })),
  ];
  return (
    <Card
      title={t('tasks')}
      extra={
        <Button loading={download.isPending} onClick={() => download.mutate()}>
          {t('export')}
        </Button>
      }
    >
      <ProblemAlert error={download.error} />
      <Segmented<TaskState | 'ALL'> aria-label={t('state')} value={state} onChange={(state) => narrow(state)} options={states} />
      <div className="row after">
        <SearchField
          aria-label={t('jobTasks.device')}
          className="field wide"
          placeholder={t('jobTasks.device')}
          value={deviceName ?? ''}
          use={(name) => narrow(state, reason, name)}
        />
        {reason && (
          <Tag closable onClose={() => narrow(state)}>
            {t('onlyReason', { reason: code('reasonKind', reason) })}
          </Tag>
        )}
      </div>
      <CursorTable<Task>
        of={['job', job.id, 'tasks', state, reason, deviceName]}
        label={t('tasks')}
        get={get}
        rowKey={(task) => task.id}
        empty={<NextStep text={t('jobTasks.empty')} />}
        more={(task) => <TaskTimeline taskId={task.id} />}
        columns={[...taskColumns(t, 'device'), { title: t('actions'), ...(wide && { fixed: 'right' as const }), render: (_, task) => <TaskOrders task={task} /> }]}
      />
    </Card>
  );
}

function TaskOrders({ task }: { task: Task }) {
  const { t } = useText();
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: (order: 'cancel' | 're-upgrade' | 'approve') =>
      ask(api.POST(`/api/v1/tasks/{taskId}/${order}`, { params: { path: { taskId: task.id } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: ['job', task.jobId] }),
  });
  const orders = [
    ...(task.state === 'CONFIRM' ? (['approve'] as const) : []),
    ...(ENDED.includes(task.state) ? [] : (['cancel'] as const)),
    ...(task.state === 'FAILED' || task.state === 'CANCELED' ? (['re-upgrade'] as const) : []),
  ];
  return (
    <div className="row">
      {orders.map((what) => (
        <SureButton
          key={what}
          size="small"
          quiet
          danger={what === 'cancel'}
          title={t(`order.task.${what}.sure`, { device: task.deviceName })}
          loading={order.isPending}
          act={() => order.mutate(what)}
        >
          {t(`order.task.${what}`)}
        </SureButton>
      ))}
      <ProblemAlert error={order.error} />
    </div>
  );
}

function Facts({ job, packageName, productName }: { job: Job; packageName: string | undefined; productName: string | undefined }) {
  const text = useText();
  const { t, n, code } = text;
  const { scope, terms } = job;
  const scopeText = t(`summary.scope.${scope.kind}`, {
    percent: 'percent' in scope ? scope.percent : '',
    filter: 'filter' in scope ? scope.filter : '',
    group: 'group' in scope ? scope.group : '',
  });
  const told = Object.entries(terms).filter(([, value]) => value != null && !(Array.isArray(value) && value.length === 0));
  return (
    <Card title={t('jobFacts')}>
      <Descriptions
        column={{ xs: 1, md: 2 }}
        items={[
          { key: 'id', label: 'ID', children: <Copy name="ID" value={job.id} /> },
          { key: 'package', label: t('package'), children: <Link to={`/packages/${job.packageId}`}>{packageName ?? job.packageId}</Link> },
          { key: 'product', label: t('product'), children: <Link to={`/products/${job.productKey}`}>{productName ?? job.productKey}</Link> },
          { key: 'kind', label: t('jobKind'), children: code('jobKind', job.kind) },
          { key: 'scope', label: t('scope'), children: scopeText },
          { key: 'protocol', label: t('protocol'), children: job.protocol.toUpperCase() },
          { key: 'rate', label: t('terms.ratePerMinute'), children: job.ratePerMinute == null ? t('summary.noPush') : n(job.ratePerMinute) },
          { key: 'timeout', label: t('terms.timeoutMinutes'), children: job.timeoutMinutes == null ? '–' : n(job.timeoutMinutes) },
          { key: 'created', label: t('createdAt'), children: <Time at={job.createdAt} /> },
          { key: 'ended', label: t('endedAt'), children: <Time at={job.endedAt} /> },
          ...told.map(([key, value]) => ({
            key,
            label: code('terms', key),
            children: termText(text, key, value!),
          })),
        ]}
      />
    </Card>
  );
}
