import { useQuery } from '@tanstack/react-query';
import { Button, Card, Statistic } from 'antd';
import { useState } from 'react';
import { Link } from 'react-router';

import { api, ask } from '../api/client';
import { useStatus } from '../api/status';
import type { Product } from '../api/types';
import { LinkButton, NextStep } from '../parts/bits';
import { DataTable } from '../parts/data-table';
import { EventList } from '../parts/event-list';
import { JobTable } from '../parts/job-table';
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
  const products = useProducts();
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
  const { t, n } = useText();
  const shown = products.slice(0, MOST);
  const status = useStatus();
  return (
    <>
      <div className="grid">
        <Card>
          <Statistic title={t('devicesConnected')} value={status.data ? n(status.data.sessions) : '–'} />
        </Card>
        <Card>
          <Statistic title={t('products')} value={n(products.length)} />
        </Card>
      </div>
      <Card title={t('lastDay')}>
        <LastDay products={shown} />
      </Card>
      <Card title={t('latestJobs')} extra={<Link to="/jobs">{t('jobs')}</Link>}>
        <JobTable
          of={['jobs', 'overview']}
          query={{}}
          empty={
            <NextStep text={t('jobs.empty')}>
              <LinkButton to={`/products/${shown[0]!.productKey}/packages`}>{t('packages')}</LinkButton>
            </NextStep>
          }
        />
      </Card>
      {products.length > MOST && <p>{t('ofProducts', { shown: MOST, whole: products.length })}</p>}
      <div className="grid">
        {shown.map(({ productKey, name }) => (
          <Card key={productKey} title={<Link to={`/products/${productKey}`}>{name}</Link>}>
            <VersionShares productKey={productKey} module="default" />
          </Card>
        ))}
      </div>
      <Card title={t('happensNow')}>
        <EventList />
      </Card>
    </>
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
            { title: t('failed'), render: (_, row) => n(row.failed) },
            { title: t('canceled'), render: (_, row) => n(row.canceled) },
            { title: t('successRate'), render: (_, row) => (row.successPercent == null ? '–' : `${row.successPercent.toFixed(1)} %`) },
          ]}
        />
      )}
    </Loaded>
  );
}
