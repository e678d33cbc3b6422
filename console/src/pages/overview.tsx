import { useQuery } from '@tanstack/react-query';
import { Button, Card } from 'antd';
import { useState } from 'react';
import { Link } from 'react-router';

import { api, ask } from '../api/client';
import type { JobState, Product } from '../api/types';
import { LinkButton, NextStep } from '../parts/bits';
import { DataTable } from '../parts/data-table';
import { EventList } from '../parts/event-list';
import { FleetByStatus, together } from '../parts/fleet';
import { JobStates, JobTable } from '../parts/job-table';
import { Loaded } from '../parts/loaded';
import { Page } from '../parts/page';
import { useProducts } from '../parts/product-select';
import { VersionShares } from '../parts/version-shares';
import { useText } from '../texts';
import { NewProductForm } from './products';

const DAY_MS = 86_400_000;
/** Products told of one by one. */
const MOST = 6;

export default function Overview() {
  const { t } = useText();
  const products = useProducts('fleet');
  return (
    <Page title={t('overview')}>
      <Loaded query={products}>{(items) => (items.length === 0 ? <First /> : <Fleet products={items} />)}</Loaded>
    </Page>
  );
}

/** Where a newcomer begins. */
function First() {
  const { t } = useText();
  const [adding, setAdding] = useState(false);
  return (
    <Card>
      <NextStep text={t('firstStep')}>
        <Button type="primary" onClick={() => setAdding(true)}>
          {t('newProduct')}
        </Button>
      </NextStep>
      <NewProductForm open={adding} close={() => setAdding(false)} />
    </Card>
  );
}

function Fleet({ products }: { products: Product[] }) {
  const { t } = useText();
  const shown = products.slice(0, MOST);
  return (
    <div className="stack">
      <Card title={t('fleet')} extra={<Link to="/products">{t('fleet.products', { count: products.length })}</Link>}>
        <FleetByStatus of={together(products.map(({ devices }) => devices))} />
      </Card>
      <Jobs productKey={shown[0]!.productKey} />
      <Card title={t('lastDay')}>
        <LastDay products={shown} />
      </Card>
      {products.length > MOST && <p className="plain">{t('ofProducts', { shown: MOST, whole: products.length })}</p>}
      <div className="grid">
        {shown.map(({ productKey, name, devices }) => (
          <Card
            key={productKey}
            title={<Link to={`/products/${productKey}`}>{name}</Link>}
            extra={t('fleet.devices', { count: devices.all })}
          >
            <div className="stack">
              <FleetByStatus of={devices} productKey={productKey} />
              <VersionShares productKey={productKey} module="default" />
            </div>
          </Card>
        ))}
      </div>
      <Card title={t('happensNow')}>
        <EventList />
      </Card>
    </div>
  );
}

/** Jobs under way, or of another state. */
function Jobs({ productKey }: { productKey: string }) {
  const { t } = useText();
  const [state, setState] = useState<JobState | undefined>('IN_PROGRESS');
  return (
    <Card title={t('jobs')} extra={<Link to="/jobs">{t('jobs.all')}</Link>}>
      <div className="stack">
        <JobStates value={state} use={setState} />
        <JobTable
          of={['jobs', 'overview', state]}
          query={{ state }}
          empty={
            <NextStep text={state ? t('jobs.noneFound') : t('jobs.empty')}>
              <LinkButton to={`/products/${productKey}/packages`}>{t('packages')}</LinkButton>
            </NextStep>
          }
        />
      </div>
    </Card>
  );
}

/** How the upgrades of the last day ended, by product. */
function LastDay({ products }: { products: Product[] }) {
  const { t, n } = useText();
  const query = useQuery({
    queryKey: ['upgrades', 'last-day', products.map(({ productKey }) => productKey)],
    queryFn: () => {
      const from = new Date(Date.now() - DAY_MS).toISOString();
      const of = async ({ productKey, name }: Product) => ({
        name,
        productKey,
        ...(await ask(
          api.GET('/api/v1/products/{productKey}/statistics/upgrades', {
            params: { path: { productKey }, query: { from } },
          }),
        )),
      });
      return Promise.all(products.map(of));
    },
  });
  return (
    <Loaded query={query}>
      {(rows) => (
        <DataTable
          aria-label={t('lastDay')}
          size="small"
          rowKey="productKey"
          dataSource={rows}
          columns={[
            { title: t('product'), render: (_, row) => <Link to={`/products/${row.productKey}/analysis`}>{row.name}</Link> },
            { title: t('succeeded'), render: (_, row) => n(row.succeeded) },
            { title: t('failed'), render: (_, row) => <Link to={`/jobs?product=${row.productKey}`}>{n(row.failed)}</Link> },
            { title: t('canceled'), render: (_, row) => n(row.canceled) },
            { title: t('successRate'), render: (_, row) => (row.successPercent == null ? '–' : `${row.successPercent.toFixed(1)} %`) },
          ]}
        />
      )}
    </Loaded>
  );
}
