import { Card, Input } from 'antd';
import { useState } from 'react';

import { happened } from '../api/events';
import type { Event } from '../api/types';
import { NextStep } from '../parts/bits';
import { CursorTable } from '../parts/cursor-table';
import { EventList, EventRow } from '../parts/event-list';
import { Page } from '../parts/page';
import { ProductSelect } from '../parts/product-select';
import { useText } from '../texts';

export default function Events() {
  const { t } = useText();
  const [productKey, setProductKey] = useState<string | undefined>();
  const [deviceName, setDeviceName] = useState('');
  const query = { productKey, deviceName: productKey && deviceName ? deviceName : undefined };
  const wanted = (event: Event) =>
    (!query.productKey || event.productKey === query.productKey) && (!query.deviceName || event.deviceName === query.deviceName);
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
      <Card title={t('happensNow')}>
        <EventList wanted={wanted} />
      </Card>
      <Card title={t('happenedBefore')}>
        <CursorTable<Event>
          of={['events', query.productKey, query.deviceName]}
          label={t('happenedBefore')}
          get={(cursor) => happened(query, 50, cursor)}
          rowKey={(event) => event.seq}
          empty={<NextStep text={t('events.none')} />}
          columns={[
            { title: t('number'), dataIndex: 'seq' },
            { title: t('event'), render: (_, event) => <EventRow event={event} /> },
          ]}
        />
      </Card>
    </Page>
  );
}
