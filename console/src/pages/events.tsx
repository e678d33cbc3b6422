import { Card, Input } from 'antd';
import { useState } from 'react';

import { History } from '../parts/event-list';
import { Page } from '../parts/page';
import { ProductSelect } from '../parts/product-select';
import { useText } from '../texts';

export default function Events() {
  const { t } = useText();
  const [productKey, setProductKey] = useState<string | undefined>();
  const [deviceName, setDeviceName] = useState('');
  return (
    <Page title={t('events')}>
      <div className="row">
        <ProductSelect value={productKey} use={setProductKey} />
        <Input.Search
          aria-label="DeviceName"
          className="field wide"
          placeholder="DeviceName"
          allowClear
          disabled={!productKey}
          onSearch={(name) => setDeviceName(name.trim())}
        />
      </div>
      <Card>
        <History of={{ productKey, deviceName: productKey && deviceName ? deviceName : undefined }} />
      </Card>
    </Page>
  );
}
