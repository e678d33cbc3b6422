import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input, InputNumber, Modal, Popconfirm } from 'antd';
import { useState } from 'react';
import { useNavigate } from 'react-router';

import { api, ask } from '../api/client';
import type { Product } from '../api/types';
import { ProblemAlert } from '../parts/problem';
import { useText } from '../texts';

/** What can be changed of a product, or done to it. */
export function ProductOrders({ product }: { product: Product }) {
  const { t } = useText();
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const remove = useMutation({
    mutationFn: () =>
      ask(api.DELETE('/api/v1/products/{productKey}', { params: { path: { productKey: product.productKey } } })),
    onSuccess: () => navigate('/products'),
  });
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t('change')}</Button>
      <Popconfirm title={t('remove.sure', { name: product.name })} onConfirm={() => remove.mutate()}>
        <Button danger loading={remove.isPending}>
          {t('remove')}
        </Button>
      </Popconfirm>
      <ProblemAlert error={remove.error} />
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
    <Modal open={open} onCancel={close} title={t('change')} footer={null} destroyOnHidden>
      <Form layout="vertical" initialValues={product} onFinish={(wanted: Wanted) => order.mutate(wanted)}>
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
        <ProblemAlert error={order.error} />
        <Button className="after" type="primary" htmlType="submit" loading={order.isPending}>
          {t('save')}
        </Button>
      </Form>
    </Modal>
  );
}
