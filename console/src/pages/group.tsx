import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Button, Card, Descriptions, Form, Input, Modal, Segmented } from 'antd';
import { useState } from 'react';
import { useNavigate, useParams } from 'react-router';

import { api, ask, csvBody } from '../api/client';
import type { Bulk, Device, Group } from '../api/types';
import { DeviceLink, NextStep, OnlineTag, Time } from '../parts/bits';
import type { Fields } from '../parts/change';
import { ChangeDialog } from '../parts/change-dialog';
import { CsvFile } from '../parts/csv-file';
import { CursorTable } from '../parts/cursor-table';
import { FilterHelp } from '../parts/filter-help';
import { Loaded, present } from '../parts/loaded';
import { byLine, type DeviceList, deviceList } from '../parts/names';
import { Page } from '../parts/page';
import { ProblemAlert } from '../parts/problem';
import { Outcome } from '../parts/lines-dialog';
import { Remove } from '../parts/remove';
import { type TextKey, useText } from '../texts';
import { useProduct } from './product';
import { Versions } from './product-devices';

interface Path {
  productKey: string;
  group: string;
}

export default function GroupPage() {
  const { t } = useText();
  const { productKey = '', group = '' } = useParams();
  const path = { productKey, group };
  const product = useProduct(productKey);
  const query = useQuery({
    queryKey: ['groups', productKey, 'one', group],
    queryFn: () => ask(api.GET('/api/v1/products/{productKey}/groups/{group}', { params: { path } })),
  });
  const within = [
    { text: t('products'), to: '/products' },
    { text: product.data?.name ?? productKey, to: `/products/${productKey}/groups` },
  ];
  return (
    <Page title={group} within={within} actions={present(query) && <Actions path={path} group={query.data!} />}>
      <Loaded query={query}>
        {(of) => (
          <>
            <Facts of={of} />
            <Members path={path} of={of} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Actions({ path, group }: { path: Path; group: Group }) {
  const navigate = useNavigate();
  return (
    <>
      {!group.filter && <MembersDialog path={path} way="join" />}
      {!group.filter && <MembersDialog path={path} way="leave" />}
      <Change path={path} group={group} />
      <Remove
        name={group.name}
        remove={() => ask(api.DELETE('/api/v1/products/{productKey}/groups/{group}', { params: { path } }))}
        removed={() => navigate(`/products/${path.productKey}/groups`)}
      />
    </>
  );
}

function Facts({ of }: { of: Group }) {
  const { t } = useText();
  return (
    <Card>
      <Descriptions
        column={{ xs: 1, md: 2 }}
        items={[
          ...(of.description ? [{ key: 'description', label: t('description'), children: of.description }] : []),
          of.filter
            ? { key: 'filter', label: t('narrow.filter'), children: <span className="code">{of.filter}</span> }
            : { key: 'members', label: t('groupMembers'), children: t('groupMembers.count', { count: of.members ?? 0 }) },
          { key: 'created', label: t('createdAt'), children: <Time at={of.createdAt} /> },
        ]}
      />
    </Card>
  );
}

function Change({ path, group }: { path: Path; group: Group }) {
  const { t } = useText();
  const queries = useQueryClient();
  const [before, setBefore] = useState<Fields | null>(null);
  const open = () => setBefore({ description: group.description, ...(group.filter && { filter: group.filter }) });
  return (
    <>
      <Button onClick={open}>{t('change')}</Button>
      <ChangeDialog
        title={t('change')}
        before={before}
        close={() => setBefore(null)}
        nameOf={(field) => t((field === 'filter' ? 'narrow.filter' : field) as TextKey)}
        send={(change, expected) => {
          // Without a description is an empty one.
          const body = { ...change, ...('description' in change && { description: change['description'] ?? '' }), expected };
          return ask(api.PATCH('/api/v1/products/{productKey}/groups/{group}', { params: { path }, body: body as never }));
        }}
        sent={() => refresh(queries, path.productKey)}
      >
        <Form.Item name="description" label={t('description')}>
          <Input autoFocus maxLength={200} />
        </Form.Item>
        {group.filter && (
          <Form.Item name="filter" label={t('narrow.filter')} extra={<FilterHelp />} rules={[{ required: true, message: t('required') }]}>
            <Input.TextArea rows={3} className="code" />
          </Form.Item>
        )}
      </ChangeDialog>
    </>
  );
}

function Members({ path, of }: { path: Path; of: Group }) {
  const { t } = useText();
  const queries = useQueryClient();
  const { productKey, group } = path;
  return (
    <Card title={t('groupMembers')}>
      <CursorTable<Device>
        of={['devices', productKey, { group }]}
        label={t('groupMembers')}
        get={(cursor) => ask(api.GET('/api/v1/products/{productKey}/devices', { params: { path: { productKey }, query: { group, cursor } } }))}
        rowKey={(device) => device.deviceName}
        empty={<NextStep text={t(of.filter ? 'devices.noneFound' : 'groupMembers.empty')} />}
        columns={[
          { title: 'DeviceName', render: (_, { deviceName }) => <DeviceLink productKey={productKey} deviceName={deviceName} /> },
          { title: t('state'), render: (_, device) => <OnlineTag device={device} /> },
          { title: t('versions'), render: (_, { versions }) => <Versions versions={versions} /> },
          ...(of.filter
            ? []
            : [
                {
                  title: t('actions'),
                  render: (_: unknown, { deviceName }: Device) => (
                    <Remove
                      name={deviceName}
                      size="small"
                      what={t('groupLeave.one')}
                      sure={t('groupLeave.sure', { device: deviceName })}
                      remove={() => send(path, 'leave', { deviceNames: [deviceName] })}
                      removed={() => refresh(queries, productKey)}
                    />
                  ),
                },
              ]),
        ]}
      />
    </Card>
  );
}

type Way = 'join' | 'leave';

function send(path: Path, way: Way, list: DeviceList): Promise<Bulk> {
  const params = { path };
  const place = way === 'join' ? '/api/v1/products/{productKey}/groups/{group}/members' : '/api/v1/products/{productKey}/groups/{group}/members/remove';
  if (!('csv' in list)) return ask(api.POST(place, { params, body: list }));
  return ask(api.POST(place, { params, ...csvBody(list.csv) }));
}

async function refresh(queries: ReturnType<typeof useQueryClient>, productKey: string) {
  await Promise.all([
    queries.invalidateQueries({ queryKey: ['groups', productKey] }),
    queries.invalidateQueries({ queryKey: ['devices', productKey] }),
  ]);
}

/** Adds devices, or takes them out: by names, by a CSV file, or by a filter. */
export function MembersDialog({ path, way, size }: { path: Path; way: Way; size?: 'small' }) {
  const { t, n } = useText();
  const queries = useQueryClient();
  const [open, setOpen] = useState(false);
  const [by, setBy] = useState<'names' | 'filter'>('names');
  const [text, setText] = useState('');
  const order = useMutation({
    mutationFn: (text: string) => send(path, way, by === 'filter' ? { filter: text.trim() } : deviceList(text)),
    onSuccess: () => refresh(queries, path.productKey),
  });
  const done = order.data;
  return (
    <>
      <Button size={size} onClick={() => setOpen(true)}>
        {t(way === 'join' ? 'groupJoin' : 'groupLeave')}
      </Button>
      <Modal
        open={open}
        onCancel={() => setOpen(false)}
        afterClose={() => {
          order.reset();
          setText('');
        }}
        title={`${t(way === 'join' ? 'groupJoin' : 'groupLeave')}: ${path.group}`}
        footer={null}
        mask={{ closable: false }}
        keyboard={!order.isPending}
        destroyOnHidden
      >
        <div className="stack">
          <Segmented<'names' | 'filter'>
            aria-label={t('narrowBy')}
            value={by}
            onChange={(next) => {
              setBy(next);
              setText('');
            }}
            options={[
              { value: 'names', label: t('byNames') },
              { value: 'filter', label: t('narrow.filter') },
            ]}
          />
          {by === 'names' ? <CsvFile use={setText} /> : <FilterHelp />}
          <Input.TextArea
            aria-label={t(by === 'names' ? 'byNames' : 'narrow.filter')}
            className="code"
            rows={6}
            value={text}
            placeholder={by === 'names' ? 'lamp-0001\nlamp-0002' : 'name like lamp-00*'}
            onChange={({ target }) => setText(target.value)}
          />
          {by === 'names' && <p className="hint">{t('byNames.detail')}</p>}
          <ProblemAlert error={order.error} />
          <Button type="primary" disabled={!text.trim()} loading={order.isPending} onClick={() => order.mutate(text)}>
            {t(way === 'join' ? 'groupJoin' : 'groupLeave')}
          </Button>
          {done && (
            <Outcome
              text={t(way === 'join' ? 'groupJoin.outcome' : 'groupLeave.outcome', {
                changed: n(done.changed),
                unchanged: n(done.unchanged),
                refused: n(done.refused.length),
              })}
              refused={by === 'names' ? byLine(order.variables, done.refused) : done.refused}
            />
          )}
        </div>
      </Modal>
    </>
  );
}
