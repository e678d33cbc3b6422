import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Button, Checkbox, Form, Input, InputNumber, Select } from 'antd';
import { useState } from 'react';
import { useNavigate } from 'react-router';

import { api, ask } from '../api/client';
import type { Product } from '../api/types';
import { Copy } from '../parts/bits';
import { ChangeDialog } from '../parts/change-dialog';
import { Remove } from '../parts/remove';
import { RegisterAgain } from '../parts/register-again';
import { type TextKey, useText } from '../texts';

/** What can be changed of a product, or done to it. */
export function ProductOrders({ product }: { product: Product }) {
  const { t } = useText();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const path = { productKey: product.productKey };
  return (
    <>
      <Change product={product} />
      {product.dynamicRegistration && (
        <RegisterAgain
          until={product.registrationAllowedUntil}
          detail={t('registerAgain.product')}
          send={(minutes) => ask(api.POST('/api/v1/products/{productKey}/allow-registration', { params: { path }, body: { minutes } }))}
          sent={() => queries.invalidateQueries({ queryKey: ['products'] })}
        />
      )}
      <Remove
        name={product.name}
        remove={() => ask(api.DELETE('/api/v1/products/{productKey}', { params: { path } }))}
        removed={() => navigate('/products')}
      />
    </>
  );
}

const FIELDS = ['name', 'nodeType', 'timezone', 'settleSeconds', 'graceSeconds', 'dynamicRegistration', 'withoutPreRegistration'] as const;
type Before = Pick<Product, (typeof FIELDS)[number]>;

function Change({ product }: { product: Product }) {
  const { t } = useText();
  const queries = useQueryClient();
  const [before, setBefore] = useState<Before | null>(null);
  const path = { productKey: product.productKey };
  return (
    <>
      <Button onClick={() => setBefore(Object.fromEntries(FIELDS.map((name) => [name, product[name]])) as Before)}>{t('change')}</Button>
      <ChangeDialog
        title={t('change')}
        before={before}
        close={() => setBefore(null)}
        nameOf={(field) => t(field as TextKey)}
        send={(change, expected) => ask(api.PATCH('/api/v1/products/{productKey}', { params: { path }, body: { ...change, expected } }))}
        sent={() => queries.invalidateQueries({ queryKey: ['products'] })}
      >
        <Form.Item name="name" label={t('name')} rules={[{ required: true, message: t('required') }]}>
          <Input autoFocus maxLength={64} />
        </Form.Item>
        <Form.Item name="nodeType" label={t('nodeType')}>
          <Select options={(['device', 'gateway'] as const).map((value) => ({ value, label: t(`nodeType.${value}`) }))} />
        </Form.Item>
        <Form.Item name="timezone" label={t('timezone')} extra={t('timezone.detail')}>
          <Input placeholder="Asia/Shanghai" />
        </Form.Item>
        <Form.Item name="settleSeconds" label={t('settleSeconds')} rules={[{ required: true, message: t('required') }]}>
          <InputNumber min={0} max={3600} />
        </Form.Item>
        <Form.Item name="graceSeconds" label={t('graceSeconds')} rules={[{ required: true, message: t('required') }]}>
          <InputNumber min={0} max={3600} />
        </Form.Item>
        <Form.Item name="dynamicRegistration" valuePropName="checked" extra={t('dynamicRegistration.detail')}>
          <Checkbox>{t('dynamicRegistration')}</Checkbox>
        </Form.Item>
        <Form.Item noStyle dependencies={['dynamicRegistration']}>
          {({ getFieldValue }) => (
            <Form.Item name="withoutPreRegistration" valuePropName="checked" extra={t('withoutPreRegistration.detail')}>
              <Checkbox disabled={!getFieldValue('dynamicRegistration')}>{t('withoutPreRegistration')}</Checkbox>
            </Form.Item>
          )}
        </Form.Item>
      </ChangeDialog>
    </>
  );
}

/** The secret that all devices of a product carry, once somebody wants to see it. */
export function ProductSecret({ productKey }: { productKey: string }) {
  const { t } = useText();
  const [shown, setShown] = useState(false);
  const query = useQuery({
    queryKey: ['products', productKey, 'credentials'],
    enabled: shown,
    refetchInterval: false,
    queryFn: () => ask(api.GET('/api/v1/products/{productKey}/credentials', { params: { path: { productKey } } })),
  });
  if (!query.data) {
    return (
      <Button size="small" loading={query.isLoading} onClick={() => setShown(true)}>
        {t('productSecret.show')}
      </Button>
    );
  }
  return <Copy name="ProductSecret" value={query.data.productSecret} />;
}
