import { useQuery } from '@tanstack/react-query';
import { Select } from 'antd';
import { useState } from 'react';

import { api, ask } from '../api/client';
import { all } from '../api/pages';
import { LinkButton, NextStep } from '../parts/bits';
import { JobTable } from '../parts/job-table';
import { Page } from '../parts/page';
import { useText } from '../texts';

export const useProducts = () =>
  useQuery({
    queryKey: ['products', 'all'],
    queryFn: () => all((cursor) => ask(api.GET('/api/v1/products', { params: { query: { cursor, limit: 200 } } }))),
  });

export default function Jobs() {
  const { t } = useText();
  const [productKey, setProductKey] = useState<string | undefined>();
  const products = useProducts();
  return (
    <Page title={t('jobs')}>
      <div className="row">
        <Select
          aria-label={t('product')}
          className="field"
          allowClear
          showSearch={{ optionFilterProp: 'label' }}
          placeholder={t('product')}
          value={productKey}
          onChange={setProductKey}
          options={(products.data ?? []).map(({ productKey, name }) => ({ value: productKey, label: name }))}
        />
      </div>
      <JobTable
        of={['jobs', 'list', productKey]}
        query={{ productKey }}
        empty={
          <NextStep text={t('jobs.empty')}>
            <LinkButton to="/products">{t('products')}</LinkButton>
          </NextStep>
        }
      />
    </Page>
  );
}
