import { useMutation, useQueryClient } from '@tanstack/react-query';
import { App, Button, Form, Input } from 'antd';
import { useState } from 'react';
import { Link, useNavigate } from 'react-router';

import { api, ask, given } from '../api/client';
import type { Group } from '../api/types';
import { groupPath, NextStep, Time } from '../parts/bits';
import { CursorTable } from '../parts/cursor-table';
import { FilterHelp } from '../parts/filter-help';
import { FormDialog } from '../parts/form-dialog';
import { useText } from '../texts';


export default function Groups({ productKey }: { productKey: string }) {
  const { t } = useText();
  const [adding, setAdding] = useState(false);
  return (
    <div className="stack">
      <div className="row">
        <Button type="primary" onClick={() => setAdding(true)}>
          {t('newGroup')}
        </Button>
      </div>
      <CursorTable<Group>
        of={['groups', productKey]}
        label={t('groups')}
        get={(cursor) =>
          ask(api.GET('/api/v1/products/{productKey}/groups', { params: { path: { productKey }, query: { cursor } } }))
        }
        rowKey={(group) => group.name}
        empty={
          <NextStep text={t('groups.empty')}>
            <Button onClick={() => setAdding(true)}>{t('newGroup')}</Button>
          </NextStep>
        }
        columns={[
          { title: t('name'), render: (_, { name }) => <Link to={groupPath({ productKey, group: name })}>{name}</Link> },
          { title: t('description'), dataIndex: 'description' },
          {
            title: t('groupMembers'),
            render: (_, { filter, members }) =>
              filter ? <span className="code">{filter}</span> : t('groupMembers.count', { count: members ?? 0 }),
          },
          { title: t('createdAt'), render: (_, { createdAt }) => <Time at={createdAt} /> },
        ]}
      />
      <NewGroupForm productKey={productKey} open={adding} close={() => setAdding(false)} />
    </div>
  );
}

interface Wanted {
  name: string;
  description?: string;
  filter?: string;
}

function NewGroupForm({ productKey, open, close }: { productKey: string; open: boolean; close: () => void }) {
  const { t } = useText();
  const { message } = App.useApp();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: (wanted: Wanted) =>
      ask(api.POST('/api/v1/products/{productKey}/groups', { params: { path: { productKey } }, body: given(wanted) })),
    onSuccess: async ({ name }) => {
      await queries.invalidateQueries({ queryKey: ['groups', productKey] });
      message.success(t('done'));
      close();
      void navigate(groupPath({ productKey, group: name }));
    },
  });
  return (
    <FormDialog title={t('newGroup')} open={open} close={close} order={order} submit={t('create')}>
      <Form.Item name="name" label={t('name')} rules={[{ required: true, message: t('required') }]}>
        <Input autoFocus maxLength={64} />
      </Form.Item>
      <Form.Item name="description" label={t('description')}>
        <Input maxLength={200} />
      </Form.Item>
      <Form.Item name="filter" label={t('narrow.filter')} extra={<>{t('groupFilter.detail')}<FilterHelp /></>}>
        <Input.TextArea rows={3} className="code" placeholder="tag.region = eu" />
      </Form.Item>
    </FormDialog>
  );
}
