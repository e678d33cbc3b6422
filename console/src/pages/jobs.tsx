import { useSearchParams } from 'react-router';

import { given } from '../api/client';
import { LinkButton, NextStep } from '../parts/bits';
import { JobStates, jobStateOf, JobTable } from '../parts/job-table';
import { Page } from '../parts/page';
import { ProductSelect } from '../parts/product-select';
import { useText } from '../texts';

export default function Jobs() {
  const { t } = useText();
  const [params, setParams] = useSearchParams();
  const productKey = params.get('product') ?? undefined;
  const state = jobStateOf(params.get('state'));
  const narrow = (product?: string, state?: string) => setParams(given({ product, state }) as Record<string, string>, { replace: true });
  return (
    <Page title={t('jobs')}>
      <div className="row">
        <ProductSelect value={productKey} use={(product) => narrow(product, state)} />
        <JobStates value={state} use={(state) => narrow(productKey, state)} />
      </div>
      <JobTable
        of={['jobs', 'list', productKey, state]}
        query={{ productKey, state }}
        empty={
          <NextStep text={state ? t('jobs.noneFound') : t('jobs.empty')}>
            <LinkButton to="/products">{t('products')}</LinkButton>
          </NextStep>
        }
      />
    </Page>
  );
}
