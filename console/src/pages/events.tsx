import { Card, Segmented } from 'antd';
import { useSearchParams } from 'react-router';

import { given } from '../api/client';
import { type Subject, SUBJECTS } from '../api/history';
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
  const about = SUBJECTS.find((subject) => subject === params.get('about'));
  const narrow = (next: { product?: string | undefined; device?: string; about?: Subject | undefined }) => {
    setParams(given({ product: productKey, device: deviceName, about, ...next }) as Record<string, string>, { replace: true });
  };
  return (
    <Page title={t('events')}>
      <div className="row">
        <ProductSelect value={productKey} use={(product) => narrow({ product, device: '' })} />
        <SearchField
          aria-label="DeviceName"
          className="field wide"
          placeholder="DeviceName"
          disabled={!productKey}
          value={deviceName}
          use={(device) => productKey && narrow({ device })}
        />
        <Segmented<Subject | 'all'>
          aria-label={t('events.about')}
          value={about ?? 'all'}
          onChange={(next) => narrow({ about: next === 'all' ? undefined : next })}
          options={[{ value: 'all', label: t('all') }, ...SUBJECTS.map((value) => ({ value, label: t(`events.about.${value}`) }))]}
        />
      </div>
      <Card>
        <History of={{ productKey, deviceName: productKey && deviceName ? deviceName : undefined, about }} />
      </Card>
    </Page>
  );
}
