import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { App, Button, Form, Input } from 'antd';
import { useState } from 'react';

import { api, ask, given } from '../api/client';
import type { Module } from '../api/types';
import { Time } from '../parts/bits';
import { DataTable } from '../parts/data-table';
import { FormDialog } from '../parts/form-dialog';
import { Loaded } from '../parts/loaded';
import { Remove } from '../parts/remove';
import { useText } from '../texts';

export const useModules = (productKey: string) =>
  useQuery({
    queryKey: ['modules', productKey],
    queryFn: async () =>
      (await ask(api.GET('/api/v1/products/{productKey}/modules', { params: { path: { productKey } } }))).items,
  });

export default function Modules({ productKey }: { productKey: string }) {
  const { t } = useText();
  const [adding, setAdding] = useState(false);
  const modules = useModules(productKey);
  return (
    <div className="stack">
      <p>{t('modules.detail')}</p>
      <div className="row">
        <Button type="primary" onClick={() => setAdding(true)}>
          {t('newModule')}
        </Button>
      </div>
      <Loaded query={modules}>
        {(items) => (
          <DataTable<Module>
            aria-label={t('modules')}
            rowKey="name"
            dataSource={items}
            columns={[
              { title: t('module'), render: (_, { name }) => <span className="code">{name}</span> },
              { title: t('alias'), dataIndex: 'alias' },
              { title: t('description'), dataIndex: 'description' },
              { title: t('createdAt'), render: (_, { createdAt }) => <Time at={createdAt} /> },
              { title: t('actions'), render: (_, { name }) => name !== 'default' && <RemoveModule productKey={productKey} module={name} /> },
            ]}
          />
        )}
      </Loaded>
      <NewModuleForm productKey={productKey} open={adding} close={() => setAdding(false)} />
    </div>
  );
}

function RemoveModule({ productKey, module }: { productKey: string; module: string }) {
  const queries = useQueryClient();
  const path = { productKey, module };
  return (
    <Remove
      name={module}
      size="small"
      remove={() => ask(api.DELETE('/api/v1/products/{productKey}/modules/{module}', { params: { path } }))}
      removed={() => queries.invalidateQueries({ queryKey: ['modules', productKey] })}
    />
  );
}

interface Wanted {
  name: string;
  alias?: string;
  description?: string;
}

function NewModuleForm({ productKey, open, close }: { productKey: string; open: boolean; close: () => void }) {
  const { t } = useText();
  const { message } = App.useApp();
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: (wanted: Wanted) =>
      ask(api.POST('/api/v1/products/{productKey}/modules', { params: { path: { productKey } }, body: given(wanted) })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ['modules', productKey] });
      message.success(t('done'));
      close();
    },
  });
  return (
    <FormDialog title={t('newModule')} open={open} close={close} order={order} submit={t('create')}>
      <Form.Item name="name" label={t('module')} extra={t('module.detail')} rules={[{ required: true, message: t('required') }]}>
        <Input autoFocus maxLength={64} />
      </Form.Item>
      <Form.Item name="alias" label={t('alias')}>
        <Input maxLength={64} />
      </Form.Item>
      <Form.Item name="description" label={t('description')}>
        <Input maxLength={100} />
      </Form.Item>
    </FormDialog>
  );
}
