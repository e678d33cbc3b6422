import { Card, Input, Select } from 'antd';
import { useState } from 'react';

import { api, ask } from '../api/client';
import type { Event } from '../api/types';
import { NextStep } from '../parts/bits';
import { CursorTable } from '../parts/cursor-table';
import { EventList, EventRow } from '../parts/event-list';
import { Page } from '../parts/page';
import { useText } from '../texts';
import { useProducts } from './jobs';

export default function Events() {
  const { t } = useText();
  const products = useProducts();
  const [productKey, setProductKey] = useState<string | undefined>();
  const [deviceName, setDeviceName] = useState('');
  const query = { productKey, deviceName: productKey && deviceName ? deviceName : undefined };
  const wanted = (event: Event) =>
    (!query.productKey || event.productKey === query.productKey) && (!query.deviceName || event.deviceName === query.deviceName);
  return (
    <Page title={t('events')}>
      <div className="row">
        <Select
          aria-label={t('product')}
          className="field"
          allowClear
          placeholder={t('product')}
          value={productKey}
          onChange={setProductKey}
          options={(products.data ?? []).map(({ productKey, name }) => ({ value: productKey, label: name }))}
        />
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
          get={async (cursor) => {
            const page = await ask(api.GET('/api/v1/events', { params: { query: { ...query, cursor } } }));
            return { items: page.items as Event[], nextCursor: page.items.length < 50 ? null : page.nextCursor };
          }}
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
