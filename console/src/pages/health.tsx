import { useQuery } from '@tanstack/react-query';
import { Card, Statistic } from 'antd';
import { useEffect, useState } from 'react';

import { asProblem, fetchAs, Refusal } from '../api/client';
import { Spark } from '../parts/chart';
import { DataTable } from '../parts/data-table';
import { Loaded } from '../parts/loaded';
import { growth, means, type Metric, metricsOf, rates, type Sample, sum } from '../parts/metrics';
import { bytes } from '../parts/numbers';
import { Page } from '../parts/page';
import { type Text, type TextKey, useText } from '../texts';

const PACE_MS = 2_000;
const SHOWN = 60;

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
  const [samples, setSamples] = useState<Sample[]>([]);
  const measured = useQuery({ queryKey: ['metrics'], queryFn: measure, refetchInterval: PACE_MS });
  const ready = useQuery({ queryKey: ['ready'], queryFn: readiness, refetchInterval: PACE_MS, retry: false });
  const { data } = measured;
  useEffect(() => {
    if (data) setSamples((before) => (before.at(-1) === data ? before : [...before, data].slice(-SHOWN)));
  }, [data]);
  return (
    <Page title={t('health')}>
      <Loaded query={measured}>
        {(now) => (
          <>
            <Card>
              <Statistic title={t('ready')} value={ready.data ?? '…'} />
              <p>Otaru {now.metrics.find(({ name }) => name === 'otaru_build_info')?.labels['version']}</p>
            </Card>
            <Gauges title={t('gauges.devices')} of={DEVICES} samples={samples} now={now} />
            <Gauges title={t('gauges.platform')} of={PLATFORM} samples={samples} now={now} />
            <Counters of={now} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Gauges({ title, of, samples, now }: { title: string; of: Gauge[]; samples: Sample[]; now: Sample }) {
  const text = useText();
  return (
    <section aria-label={title}>
      <h2 className="section">{title}</h2>
      <div className="grid four">
        {of.map((gauge) => {
          const points = gauge.points(samples);
          return (
            <Card key={gauge.title} size="small">
              <Statistic title={text.t(gauge.title)} value={gauge.shown(points.at(-1) ?? 0, text, now)} />
              <Spark label={text.t(gauge.title)} points={points} />
            </Card>
          );
        })}
      </div>
    </section>
  );
}

/** What has been counted since the start, as `/metrics` calls it. */
function Counters({ of }: { of: Sample }) {
  const { t, n } = useText();
  const counted = of.metrics.filter(({ name, value }) => name.startsWith('otaru_') && name.endsWith('_total') && value > 0);
  const key = ({ name, labels }: Metric) => [name, ...Object.entries(labels).map(([label, value]) => `${label}=${value}`)].join(' ');
  return (
    <Card title={t('counters')}>
      <DataTable<Metric>
        aria-label={t('counters')}
        size="small"
        rowKey={key}
        dataSource={counted}
        columns={[
          { title: t('name'), render: (_, metric) => <span className="code">{key(metric)}</span> },
          { title: t('count'), render: (_, { value }) => n(value) },
        ]}
      />
      <p>{t('counters.detail')}</p>
    </Card>
  );
}

async function measure(): Promise<Sample> {
  const response = await fetchAs(new Request('/metrics'));
  if (!response.ok) throw new Refusal(asProblem(await response.json().catch(() => null), response));
  return { at: Date.now(), metrics: metricsOf(await response.text()) };
}

async function readiness(): Promise<string> {
  const response = await fetch('/readyz');
  return (await response.text()).trim();
}
