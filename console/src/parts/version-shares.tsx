import { useQuery } from '@tanstack/react-query';
import { Progress } from 'antd';
import { Link } from 'react-router';

import { api, ask } from '../api/client';
import { useText } from '../texts';
import { NextStep } from './bits';
import { DataTable } from './data-table';
import { Loaded } from './loaded';

/** Versions told one by one; the others together. */
export const MOST = 8;

export function VersionShares({ productKey, module }: { productKey: string; module: string }) {
  const { t, n } = useText();
  const query = useQuery({
    queryKey: ['versions', productKey, module],
    queryFn: () =>
      ask(
        api.GET('/api/v1/products/{productKey}/statistics/versions', {
          params: { path: { productKey }, query: { module, limit: MOST } },
        }),
      ),
  });
  return (
    <Loaded query={query}>
      {({ devices, others, versions, neverReported }) => {
        const whole = devices + neverReported;
        const rest = [
          { version: t('otherVersions'), devices: others, filter: null },
          { version: t('neverReported'), devices: neverReported, filter: `not has module.${module}` },
        ];
        const meant = versions.map((row) => ({ ...row, filter: `module.${module} = ${JSON.stringify(row.version)}` }));
        const rows = devices === 0 ? [] : [...meant, ...rest.filter(({ devices }) => devices > 0)];
        return (
          <DataTable
            aria-label={t('versionDistribution')}
            size="small"
            rowKey="version"
            dataSource={rows}
            locale={{ emptyText: <NextStep text={t('versions.empty')} /> }}
            columns={[
              {
                title: t('version'),
                render: (_, { version, filter }) =>
                  filter ? <Link to={`/products/${productKey}/devices?${new URLSearchParams({ filter })}`}>{version}</Link> : version,
              },
              { title: t('devices'), render: (_, row) => n(row.devices) },
              {
                title: t('share'),
                width: '50%',
                render: (_, row) => (
                  <Progress percent={Math.round((1000 * row.devices) / whole) / 10} status="normal" format={(percent) => `${percent} %`} aria-label={`${t('share')}: ${row.version}`} />
                ),
              },
            ]}
          />
        );
      }}
    </Loaded>
  );
}
