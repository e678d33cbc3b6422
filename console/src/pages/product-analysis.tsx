import { useQuery } from '@tanstack/react-query';
import { Card, Segmented, Select } from 'antd';
import { useState } from 'react';

import { api, ask } from '../api/client';
import { NextStep } from '../parts/bits';
import { PALETTE, TimeChart } from '../parts/chart';
import { Loaded } from '../parts/loaded';
import { Outcomes } from '../parts/outcomes';
import { MOST, VersionShares } from '../parts/version-shares';
import { useText } from '../texts';
import { useModules } from './product-modules';

const HOUR_MS = 3_600_000;
const SPANS = { day: 24, week: 168, month: 720 } as const;

export default function Analysis({ productKey }: { productKey: string }) {
  const { t } = useText();
  const [module, setModule] = useState('default');
  const [over, setOver] = useState<keyof typeof SPANS>('week');
  const modules = useModules(productKey);
  return (
    <div className="stack">
      <div className="row">
        <Select
          aria-label={t('module')}
          className="field"
          value={module}
          onChange={setModule}
          options={(modules.data ?? []).map(({ name }) => ({ value: name, label: name }))}
        />
        <Segmented
          aria-label={t('span')}
          value={over}
          onChange={setOver}
          options={(['day', 'week', 'month'] as const).map((value) => ({ value, label: t(`span.${value}`) }))}
        />
      </div>
      <Card title={t('versionDistribution')}>
        <VersionShares productKey={productKey} module={module} />
      </Card>
      <Card title={t('versionHistory')}>
        <History productKey={productKey} module={module} hours={SPANS[over]} />
      </Card>
      <Upgrades productKey={productKey} hours={SPANS[over]} />
    </div>
  );
}

const since = (hours: number) => new Date(Date.now() - hours * HOUR_MS).toISOString();

function History({ productKey, module, hours }: { productKey: string; module: string; hours: number }) {
  const { t } = useText();
  const query = useQuery({
    queryKey: ['versions', productKey, module, 'history', hours],
    queryFn: () =>
      ask(
        api.GET('/api/v1/products/{productKey}/statistics/versions/history', {
          params: { path: { productKey }, query: { module, limit: MOST, from: since(hours) } },
        }),
      ),
  });
  return (
    <Loaded query={query}>
      {({ points, versions }) =>
        versions.length === 0 ? (
          <NextStep text={t('versions.empty')} />
        ) : (
          <TimeChart
            kind="areas"
            label={t('versionHistory')}
            series={versions.map((name, at) => ({ key: `v${at}`, name, colour: PALETTE[at % PALETTE.length]! }))}
            points={points.map(({ hour, counts }) => ({
              at: hour,
              ...Object.fromEntries(counts.map((count, at) => [`v${at}`, count])),
            }))}
          />
        )
      }
    </Loaded>
  );
}

function Upgrades({ productKey, hours }: { productKey: string; hours: number }) {
  const { t } = useText();
  const query = useQuery({
    queryKey: ['upgrades', productKey, hours],
    queryFn: () =>
      ask(
        api.GET('/api/v1/products/{productKey}/statistics/upgrades', {
          params: { path: { productKey }, query: { from: since(hours) } },
        }),
      ),
  });
  return <Loaded query={query}>{(statistics) => <Outcomes title={t('upgradeResults')} of={statistics} />}</Loaded>;
}
