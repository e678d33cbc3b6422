import { useMutation, useQueryClient } from '@tanstack/react-query';
import { App, Button, Form, Input } from 'antd';
import { useState } from 'react';

import { api, ask, given } from '../api/client';
import type { Group } from '../api/types';
import { NextStep, Time } from '../parts/bits';
import { CursorTable } from '../parts/cursor-table';
import { FormDialog } from '../parts/form-dialog';
import { Remove } from '../parts/remove';
import { useText } from '../texts';

export default function Groups({ productKey }: { productKey: string }) {
  const { t, n } = useText();
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
        empty={<NextStep text={t('groups.empty')} />}
        columns={[
          { title: t('name'), dataIndex: 'name' },
          { title: t('description'), dataIndex: 'description' },
          {
            title: t('groupMembers'),
            render: (_, { filter, members }) =>
              filter ? <span className="code">{filter}</span> : t('groupMembers.count', { count: n(members ?? 0) }),
          },
          { title: t('createdAt'), render: (_, { createdAt }) => <Time at={createdAt} /> },
          { title: t('actions'), render: (_, group) => <Actions productKey={productKey} group={group} /> },
        ]}
      />
      <NewGroupForm productKey={productKey} open={adding} close={() => setAdding(false)} />
    </div>
  );
}

function Actions({ productKey, group }: { productKey: string; group: Group }) {
  const { t } = useText();
  const queries = useQueryClient();
  const [joining, setJoining] = useState(false);
  const path = { productKey, group: group.name };
  return (
    <div className="row">
      {!group.filter && (
        <Button size="small" onClick={() => setJoining(true)}>
          {t('groupJoin')}
        </Button>
      )}
      <Remove
        name={group.name}
        size="small"
        remove={() => ask(api.DELETE('/api/v1/products/{productKey}/groups/{group}', { params: { path } }))}
        removed={() => queries.invalidateQueries({ queryKey: ['groups', productKey] })}
      />
      <JoinForm path={path} open={joining} close={() => setJoining(false)} />
    </div>
  );
}

/** Puts devices into a group that is no filter, by a filter. */
function JoinForm({ path, open, close }: { path: { productKey: string; group: string }; open: boolean; close: () => void }) {
  const { t, n } = useText();
  const { message } = App.useApp();
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: ({ filter }: { filter: string }) =>
      ask(api.POST('/api/v1/products/{productKey}/groups/{group}/members', { params: { path }, body: { filter } })),
    onSuccess: async ({ changed, unchanged }) => {
      await queries.invalidateQueries({ queryKey: ['groups', path.productKey] });
      message.success(t('groupJoin.outcome', { changed: n(changed), unchanged: n(unchanged) }));
      close();
    },
  });
  return (
    <FormDialog title={`${t('groupJoin')}: ${path.group}`} open={open} close={close} order={order} submit={t('groupJoin')}>
      <Form.Item name="filter" label={t('narrow.filter')} rules={[{ required: true, message: t('required') }]}>
        <Input.TextArea rows={3} className="code" placeholder="name like lamp-00*" />
      </Form.Item>
    </FormDialog>
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
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: (wanted: Wanted) =>
      ask(api.POST('/api/v1/products/{productKey}/groups', { params: { path: { productKey } }, body: given(wanted) })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ['groups', productKey] });
      message.success(t('done'));
      close();
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
      <Form.Item name="filter" label={t('narrow.filter')} extra={t('groupFilter.detail')}>
        <Input.TextArea rows={3} className="code" placeholder="tag.region = eu" />
      </Form.Item>
    </FormDialog>
  );
}
