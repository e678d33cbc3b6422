import { Card } from 'antd';
import { useSearchParams } from 'react-router';

import { History } from '../parts/event-list';
import { Page } from '../parts/page';
import { ProductSelect } from '../parts/product-select';
import { SearchField } from '../parts/search-field';
import { useText } from '../texts';

export default function Events() {
  const { t } = useText();
  const [params, setParams] = useSearchParams();
  const productKey = params.get('product') ?? undefined;
  const deviceName = params.get('device') ?? '';
  return (
    <Page title={t('events')}>
      <div className="row">
        <ProductSelect value={productKey} use={(product) => setParams(product ? { product } : {}, { replace: true })} />
        <SearchField
          aria-label="DeviceName"
          className="field wide"
          placeholder="DeviceName"
          disabled={!productKey}
          value={deviceName}
          use={(device) => productKey && setParams({ product: productKey, ...(device && { device }) }, { replace: true })}
        />
      </div>
      <Card>
        <History of={{ productKey, deviceName: productKey && deviceName ? deviceName : undefined }} />
      </Card>
    </Page>
  );
}
