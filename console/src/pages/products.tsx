import { useMutation, useQueryClient } from '@tanstack/react-query';
import { App, Button, Form, Input, Select } from 'antd';
import { useState } from 'react';
import { Link, useNavigate } from 'react-router';

import { api, ask, given } from '../api/client';
import type { Product } from '../api/types';
import { NextStep, Time } from '../parts/bits';
import { CursorTable } from '../parts/cursor-table';
import { FormDialog } from '../parts/form-dialog';
import { Page } from '../parts/page';
import { useText } from '../texts';

export default function Products() {
  const { t, n } = useText();
  const [adding, setAdding] = useState(false);
  const add = (
    <Button type="primary" onClick={() => setAdding(true)}>
      {t('newProduct')}
    </Button>
  );
  return (
    <Page title={t('products')} actions={add}>
      <CursorTable<Product>
        of={['products']}
        label={t('products')}
        get={(cursor) => ask(api.GET('/api/v1/products', { params: { query: { cursor } } }))}
        rowKey={(product) => product.productKey}
        empty={<NextStep text={t('products.empty')} />}
        columns={[
          {
            title: t('name'),
            render: (_, { name, productKey }) => <Link to={`/products/${productKey}`}>{name}</Link>,
          },
          { title: 'ProductKey', render: (_, { productKey }) => <span className="code">{productKey}</span> },
          { title: t('nodeType'), render: (_, { nodeType }) => t(`nodeType.${nodeType}`) },
          { title: t('devices'), render: (_, { devices }) => n(devices.all) },
          { title: t('device.online'), render: (_, { devices }) => n(devices.online) },
          { title: t('createdAt'), render: (_, { createdAt }) => <Time at={createdAt} /> },
        ]}
      />
      <NewProductForm open={adding} close={() => setAdding(false)} />
    </Page>
  );
}

interface Wanted {
  name: string;
  productKey?: string;
  nodeType: Product['nodeType'];
  timezone?: string;
}

export function NewProductForm({ open, close }: { open: boolean; close: () => void }) {
  const { t } = useText();
  const { message } = App.useApp();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: (wanted: Wanted) => ask(api.POST('/api/v1/products', { body: given(wanted) })),
    onSuccess: async ({ productKey }) => {
      await queries.invalidateQueries({ queryKey: ['products'] });
      message.success(t('done'));
      close();
      void navigate(`/products/${productKey}`);
    },
  });
  return (
    <FormDialog title={t('newProduct')} open={open} close={close} order={order} submit={t('create')} initialValues={{ nodeType: 'device' }}>
      <Form.Item name="name" label={t('name')} rules={[{ required: true, message: t('required') }]}>
        <Input autoFocus maxLength={64} />
      </Form.Item>
      <Form.Item name="productKey" label="ProductKey" extra={t('productKey.detail')}>
        <Input />
      </Form.Item>
      <Form.Item name="nodeType" label={t('nodeType')}>
        <Select
          options={(['device', 'gateway'] as const).map((value) => ({ value, label: t(`nodeType.${value}`) }))}
        />
      </Form.Item>
      <Form.Item name="timezone" label={t('timezone')} extra={t('timezone.detail')}>
        <Input placeholder="Asia/Shanghai" />
      </Form.Item>
    </FormDialog>
  );
}
