import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input, InputNumber } from 'antd';
import { useState } from 'react';
import { useNavigate } from 'react-router';

import { api, ask } from '../api/client';
import type { Product } from '../api/types';
import { FormDialog } from '../parts/form-dialog';
import { Remove } from '../parts/remove';
import { useText } from '../texts';

/** What can be changed of a product, or done to it. */
export function ProductOrders({ product }: { product: Product }) {
  const { t } = useText();
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const path = { productKey: product.productKey };
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t('change')}</Button>
      <Remove
        name={product.name}
        remove={() => ask(api.DELETE('/api/v1/products/{productKey}', { params: { path } }))}
        removed={() => navigate('/products')}
      />
      <ChangeForm product={product} open={open} close={() => setOpen(false)} />
    </>
  );
}

type Wanted = Pick<Product, 'name' | 'timezone' | 'settleSeconds' | 'graceSeconds'>;

function ChangeForm({ product, open, close }: { product: Product; open: boolean; close: () => void }) {
  const { t } = useText();
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: (wanted: Wanted) =>
      ask(
        api.PATCH('/api/v1/products/{productKey}', {
          params: { path: { productKey: product.productKey } },
          body: { ...wanted, timezone: wanted.timezone || null },
        }),
      ),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ['products'] });
      close();
    },
  });
  return (
    <FormDialog title={t('change')} open={open} close={close} order={order} submit={t('save')} initialValues={product}>
      <Form.Item name="name" label={t('name')} rules={[{ required: true, message: t('required') }]}>
        <Input autoFocus />
      </Form.Item>
      <Form.Item name="timezone" label={t('timezone')} extra={t('timezone.detail')}>
        <Input placeholder="Asia/Shanghai" />
      </Form.Item>
      <Form.Item name="settleSeconds" label={t('settleSeconds')}>
        <InputNumber min={0} />
      </Form.Item>
      <Form.Item name="graceSeconds" label={t('graceSeconds')}>
        <InputNumber min={0} />
      </Form.Item>
    </FormDialog>
  );
}
