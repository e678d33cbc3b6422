import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Card, Form, Input, Select, Tag } from 'antd';
import { useState } from 'react';

import { api, ask } from '../api/client';
import type { SubDevice } from '../api/types';
import { DeviceLink, NextStep, Time } from '../parts/bits';
import { CursorTable } from '../parts/cursor-table';
import { FormDialog } from '../parts/form-dialog';
import { useProducts } from '../parts/product-select';
import { Remove } from '../parts/remove';
import { useText } from '../texts';
import type { Path } from './device';

const ALL = '/api/v1/products/{productKey}/devices/{deviceName}/sub-devices';
const ONE = '/api/v1/products/{productKey}/devices/{deviceName}/sub-devices/{subProductKey}/{subDeviceName}';

/** The devices behind a gateway. */
export function SubDevices({ path }: { path: Path }) {
  const { t } = useText();
  const queries = useQueryClient();
  const [adding, setAdding] = useState(false);
  const of = ['device', path.productKey, path.deviceName, 'sub-devices'];
  const refresh = () => queries.invalidateQueries({ queryKey: of });
  return (
    <Card title={t('subDevices')} extra={<Button onClick={() => setAdding(true)}>{t('subDevices.add')}</Button>}>
      <CursorTable<SubDevice>
        of={of}
        label={t('subDevices')}
        get={(cursor) => ask(api.GET(ALL, { params: { path, query: { cursor } } }))}
        rowKey={({ productKey, deviceName }) => `${productKey}/${deviceName}`}
        empty={<NextStep text={t('subDevices.empty')} />}
        columns={[
          { title: 'DeviceName', render: (_, device) => <DeviceLink {...device} /> },
          { title: 'ProductKey', render: (_, { productKey }) => <span className="code">{productKey}</span> },
          { title: t('state'), render: (_, { online }) => <Tag className={online ? 'good' : ''}>{t(online ? 'device.online' : 'device.offline')}</Tag> },
          { title: t('addedAt'), render: (_, { addedAt }) => <Time at={addedAt} /> },
          {
            title: t('actions'),
            render: (_, { productKey: subProductKey, deviceName: subDeviceName }) => (
              <Remove
                name={subDeviceName}
                size="small"
                what={t('subDevices.remove')}
                sure={t('subDevices.remove.sure', { device: subDeviceName })}
                remove={() => ask(api.DELETE(ONE, { params: { path: { ...path, subProductKey, subDeviceName } } }))}
                removed={refresh}
              />
            ),
          },
        ]}
      />
      <AddForm path={path} open={adding} close={() => setAdding(false)} added={refresh} />
    </Card>
  );
}

function AddForm({ path, open, close, added }: { path: Path; open: boolean; close: () => void; added: () => Promise<void> }) {
  const { t } = useText();
  const products = useProducts();
  const order = useMutation({
    mutationFn: (body: Path) => ask(api.POST(ALL, { params: { path }, body })),
    onSuccess: async () => {
      await added();
      close();
    },
  });
  const needed = [{ required: true, message: t('required') }];
  return (
    <FormDialog title={t('subDevices.add')} open={open} close={close} order={order} submit={t('subDevices.add')}>
      <p>{t('subDevices.detail')}</p>
      <Form.Item name="productKey" label={t('product')} rules={needed}>
        <Select
          showSearch={{ optionFilterProp: 'label' }}
          options={(products.data ?? []).map(({ productKey, name }) => ({ value: productKey, label: `${name} (${productKey})` }))}
        />
      </Form.Item>
      <Form.Item name="deviceName" label="DeviceName" rules={needed}>
        <Input />
      </Form.Item>
    </FormDialog>
  );
}
