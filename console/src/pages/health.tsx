import { useQuery } from '@tanstack/react-query';
import { Card, Statistic } from 'antd';
import { useEffect, useState } from 'react';

import { api, ask, fetchAs, refusalOf } from '../api/client';
import { Spark } from '../parts/chart';
import { DataTable } from '../parts/data-table';
import { Loaded } from '../parts/loaded';
import { growth, helpOf, means, type Metric, metricsOf, rates, type Sample, samplesOf, sum } from '../parts/metrics';
import { bytes } from '../parts/numbers';
import { Page } from '../parts/page';
import { ProblemAlert } from '../parts/problem';
import { type Text, type TextKey, useText } from '../texts';

const PACE_MS = 2_000;
/** The platform looks each 15 seconds and remembers an hour. */
const PAST_PACE_MS = 15_000;
const REMEMBERED = 240;

/** What is measured now, and what its names mean. */
interface Measured extends Sample {
  help: Record<string, string>;
}

interface Gauge {
  title: TextKey;
  points: (samples: readonly Sample[]) => number[];
  shown: (value: number, text: Text, now: Sample) => string;
}

const level = (name: string) => (samples: readonly Sample[]) => samples.map((sample) => sum(sample, name));
const rate = (name: string) => (samples: readonly Sample[]) => rates(samples, name);
const mean = (name: string) => (samples: readonly Sample[]) => means(samples, name);
const aSecond = (value: number, { n }: Text) => `${n(Math.round(value))}/s`;
const bytesASecond = (value: number) => `${bytes(Math.round(value))}/s`;

const DEVICES: Gauge[] = [
  { title: 'devicesConnected', points: level('otaru_sessions'), shown: (value, { n }) => n(value) },
  { title: 'gauge.arrivals', points: rate('otaru_sessions_started_total'), shown: aSecond },
  { title: 'gauge.reports', points: rate('otaru_batch_reports_sum'), shown: aSecond },
  { title: 'gauge.pushes', points: rate('otaru_pushes_total'), shown: aSecond },
  { title: 'gauge.blocks', points: rate('otaru_blocks_total'), shown: aSecond },
  { title: 'gauge.blockBytes', points: rate('otaru_block_bytes_total'), shown: bytesASecond },
  { title: 'gauge.httpBytes', points: rate('otaru_http_bytes_total'), shown: bytesASecond },
  { title: 'gauge.refusals', points: rate('otaru_refusals_total'), shown: aSecond },
];

const PLATFORM: Gauge[] = [
  {
    title: 'gauge.waiting',
    points: level('otaru_reports_waiting'),
    shown: (value, { t, n }, now) => t('ofCount', { part: n(value), whole: n(sum(now, 'otaru_reports_waiting_limit')) }),
  },
  { title: 'gauge.commits', points: rate('otaru_commit_duration_seconds_count'), shown: aSecond },
  { title: 'gauge.commitTime', points: mean('otaru_commit_duration_seconds'), shown: (seconds) => `${(1_000 * seconds).toFixed(1)} ms` },
  { title: 'gauge.batch', points: mean('otaru_batch_reports'), shown: (value) => value.toFixed(1) },
  { title: 'gauge.databaseErrors', points: (samples) => growth(samples, 'otaru_database_errors_total'), shown: (_, { n }, now) => n(sum(now, 'otaru_database_errors_total')) },
  { title: 'gauge.cpu', points: rate('process_cpu_seconds_total'), shown: (cores) => `${Math.round(100 * cores)} %` },
  { title: 'gauge.memory', points: level('process_resident_memory_bytes'), shown: (value) => bytes(value) },
  {
    title: 'gauge.files',
    points: level('process_open_fds'),
    shown: (value, { t, n }, now) => t('ofCount', { part: n(value), whole: n(sum(now, 'process_max_fds')) }),
  },
];

export default function Health() {
  const { t } = useText();
  const [live, setLive] = useState<Measured[]>([]);
  const measured = useQuery({ queryKey: ['metrics'], queryFn: measure, refetchInterval: PACE_MS });
  const ready = useQuery({ queryKey: ['ready'], queryFn: readiness, refetchInterval: PACE_MS, retry: false });
  const past = usePast();
  const { data } = measured;
  useEffect(() => {
    // Two are enough to tell how fast a number grows now.
    if (data) setLive((before) => (before.at(-1) === data ? before : [...before, data].slice(-2)));
  }, [data]);
  return (
    <Page title={t('health')}>
      <Loaded query={measured}>
        {(now) => (
          <>
            <Card>
              <Statistic title={t('ready')} value={ready.data ? t('ready.yes') : ready.error ? t('ready.no') : '…'} />
              <ProblemAlert error={ready.error} />
              <p>Otaru {now.metrics.find(({ name }) => name === 'otaru_build_info')?.labels['version']}</p>
            </Card>
            <p className="hint">{t('gauges.past')}</p>
            <Gauges title={t('gauges.devices')} of={DEVICES} past={past} live={live} now={now} />
            <Gauges title={t('gauges.platform')} of={PLATFORM} past={past} live={live} now={now} />
            <Counters of={now} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

/** The last hour, as far as the platform has been up. */
function usePast(): Sample[] {
  const [samples, setSamples] = useState<Sample[]>([]);
  const last = samples.at(-1);
  const { data } = useQuery({
    queryKey: ['past'],
    queryFn: async () => {
      const after = last && new Date(last.at).toISOString();
      return samplesOf(await ask(api.GET('/api/v1/status/past', { params: { query: { after } } })));
    },
    gcTime: 0,
    refetchInterval: PAST_PACE_MS,
  });
  useEffect(() => {
    if (data) setSamples((before) => [...before, ...data.filter(({ at }) => at > (before.at(-1)?.at ?? 0))].slice(-REMEMBERED));
  }, [data]);
  return samples;
}

interface GaugesProps {
  title: string;
  of: Gauge[];
  past: Sample[];
  live: Sample[];
  now: Sample;
}

function Gauges({ title, of, past, live, now }: GaugesProps) {
  const text = useText();
  return (
    <section aria-label={title}>
      <h2 className="section">{title}</h2>
      <div className="grid four">
        {of.map((gauge) => {
          const points = gauge.points(past);
          const value = gauge.points(live).at(-1) ?? points.at(-1) ?? 0;
          return (
            <Card key={gauge.title} size="small">
              <Statistic title={text.t(gauge.title)} value={gauge.shown(value, text, now)} />
              <Spark label={text.t(gauge.title)} points={points} />
            </Card>
          );
        })}
      </div>
    </section>
  );
}

const meaningsInChinese = () => import('../texts/metrics-zh-CN').then(({ counted }) => counted);

/** What has been counted since the start: what it is, and as `/metrics` calls it. */
function Counters({ of }: { of: Measured }) {
  const { t, n, code, language } = useText();
  const chinese = useQuery({ queryKey: ['counters', language], enabled: language === 'zh-CN', staleTime: Infinity, refetchInterval: false, queryFn: meaningsInChinese });
  const counted = of.metrics.filter(({ name, value }) => name.startsWith('otaru_') && name.endsWith('_total') && value > 0);
  const key = ({ name, labels }: Metric) => [name, ...Object.entries(labels).map(([label, value]) => `${label}=${value}`)].join(' ');
  const meaning = ({ name, labels }: Metric) => {
    if ('from' in labels) return `${code('taskState', labels['from']!)} → ${code('taskState', labels['to']!)}`;
    const own = Object.values(labels).map((value) => chinese.data?.[`${name}.${value}`] ?? value);
    return [chinese.data?.[name] ?? of.help[name], ...own].join(' · ');
  };
  return (
    <Card title={t('counters')}>
      <DataTable<Metric>
        aria-label={t('counters')}
        size="small"
        rowKey={key}
        dataSource={counted}
        columns={[
          { title: t('counters.what'), render: (_, metric) => meaning(metric) },
          { title: t('count'), render: (_, { value }) => n(value) },
          { title: t('name'), render: (_, metric) => <span className="code">{key(metric)}</span> },
        ]}
      />
      <p>{t('counters.detail')}</p>
    </Card>
  );
}

async function measure(): Promise<Measured> {
  const response = await fetchAs(new Request('/metrics'));
  if (!response.ok) throw await refusalOf(response);
  const text = await response.text();
  return { at: Date.now(), metrics: metricsOf(text), help: helpOf(text) };
}

/** Whether the platform can do its work; if not, why is the refusal. */
async function readiness(): Promise<true> {
  const response = await fetch('/readyz', { headers: { Accept: 'application/json' } });
  if (!response.ok) throw await refusalOf(response);
  return true;
}
