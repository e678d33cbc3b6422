import { useSearchParams } from 'react-router';

import { LinkButton, NextStep } from '../parts/bits';
import { JobTable } from '../parts/job-table';
import { Page } from '../parts/page';
import { ProductSelect } from '../parts/product-select';
import { useText } from '../texts';

export default function Jobs() {
  const { t } = useText();
  const [params, setParams] = useSearchParams();
  const productKey = params.get('product') ?? undefined;
  return (
    <Page title={t('jobs')}>
      <div className="row">
        <ProductSelect value={productKey} use={(product) => setParams(product ? { product } : {}, { replace: true })} />
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
