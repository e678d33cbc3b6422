import { useQuery } from '@tanstack/react-query';
import { Card, Statistic } from 'antd';
import { useEffect, useState } from 'react';

import { api, ask } from '../api/client';
import { Spark } from '../parts/chart';
import { DataTable } from '../parts/data-table';
import { Loaded } from '../parts/loaded';
import { bytes, rates, type Sample } from '../parts/numbers';
import { Page } from '../parts/page';
import { useText } from '../texts';

const PACE_MS = 2_000;
const SHOWN = 60;

/** What is counted that shows how the platform is doing, as so many a second. */
const RATES = ['blocks', 'block_bytes', 'reports', 'commits', 'pushes', 'http_bytes'] as const;

export default function Health() {
  const { t, n } = useText();
  const [samples, setSamples] = useState<Sample[]>([]);
  const status = useQuery({
    queryKey: ['status', 'health'],
    queryFn: () => ask(api.GET('/api/v1/status')),
    refetchInterval: PACE_MS,
  });
  const ready = useQuery({ queryKey: ['ready'], queryFn: readiness, refetchInterval: PACE_MS, retry: false });
  const { data, dataUpdatedAt } = status;
  useEffect(() => {
    if (!data) return;
    const sample = { at: dataUpdatedAt, sessions: data.sessions, counters: data.counters };
    setSamples((before) => [...before, sample].slice(-SHOWN));
  }, [data, dataUpdatedAt]);
  const rate = (name: string) => rates(samples, name);
  const shown = (name: (typeof RATES)[number], value: number) => (name.endsWith('bytes') ? `${bytes(value)}/s` : `${n(Math.round(value))}/s`);
  return (
    <Page title={t('health')}>
      <Loaded query={status}>
        {({ sessions, counters, version }) => (
          <>
            <div className="grid">
              <Card>
                <Statistic title={t('ready')} value={ready.data ?? '…'} />
                <p>Otaru {version}</p>
              </Card>
              <Card>
                <Statistic title={t('devicesConnected')} value={n(sessions)} />
                <Spark label={t('devicesConnected')} points={samples.map((sample) => sample.sessions)} />
              </Card>
              {RATES.map((name) => (
                <Card key={name}>
                  <Statistic title={t(`counter.${name}`)} value={shown(name, rate(name).at(-1) ?? 0)} />
                  <Spark label={t(`counter.${name}`)} points={rate(name)} />
                </Card>
              ))}
            </div>
            <Card title={t('counters')}>
              <DataTable
                aria-label={t('counters')}
                size="small"
                rowKey="name"
                dataSource={Object.entries(counters).filter(([, count]) => count > 0).map(([name, count]) => ({ name, count }))}
                columns={[
                  { title: t('name'), render: (_, { name }) => <span className="code">{name}</span> },
                  { title: t('count'), render: (_, { count }) => n(count) },
                ]}
              />
            </Card>
          </>
        )}
      </Loaded>
    </Page>
  );
}

async function readiness(): Promise<string> {
  const response = await fetch('/readyz');
  return (await response.text()).trim();
}
