import { DownOutlined } from '@ant-design/icons';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { App, Button, Dropdown, Form, Input, Select, Tag } from 'antd';
import { useState } from 'react';
import { useNavigate, useSearchParams } from 'react-router';

import { api, ask, csvBody, given } from '../api/client';
import { save } from '../api/csv';
import { all } from '../api/pages';
import type { Device } from '../api/types';
import { DeviceLink, devicePath, NextStep, OnlineTag, Time } from '../parts/bits';
import { CursorTable } from '../parts/cursor-table';
import { FilterHelp } from '../parts/filter-help';
import { FormDialog } from '../parts/form-dialog';
import { LinesDialog, Outcome } from '../parts/lines-dialog';
import { ProblemAlert } from '../parts/problem';
import { SearchField } from '../parts/search-field';
import { useSure } from '../parts/sure';
import { useText } from '../texts';
import { factsTable, secretsTable, tagsTable } from './device-tables';
import { TagsForm } from './product-tags';

/** What a list of devices is narrowed by: the platform takes one of them. */
const WAYS = ['prefix', 'filter', 'group'] as const;
type Way = (typeof WAYS)[number];
type Narrowed = Partial<Record<Way, string>>;

export function Devices({ productKey }: { productKey: string }) {
  const { t } = useText();
  // In the address, so that who comes back from a device finds the list as it was.
  const [params, setParams] = useSearchParams();
  const by = WAYS.find((way) => params.get(way));
  const narrowed: Narrowed = by ? { [by]: params.get(by)! } : {};
  const [open, setOpen] = useState<'one' | 'many' | 'tags' | null>(null);
  const get = (cursor?: string, limit?: number) =>
    ask(
      api.GET('/api/v1/products/{productKey}/devices', {
        params: { path: { productKey }, query: { ...narrowed, cursor, limit } },
      }),
    );
  const isWhole = Object.keys(narrowed).length === 0;
  return (
    <div className="stack">
      <div className="row">
        <Button type="primary" onClick={() => setOpen('one')}>
          {t('newDevice')}
        </Button>
        <Button onClick={() => setOpen('many')}>{t('importDevices')}</Button>
        <Button onClick={() => setOpen('tags')}>{t('changeTags')}</Button>
        <Export productKey={productKey} get={(cursor) => get(cursor, 200)} />
      </div>
      <Narrow productKey={productKey} of={narrowed} use={(narrowed) => setParams(narrowed, { replace: true })} />
      <CursorTable<Device>
        of={['devices', productKey, narrowed]}
        label={t('devices')}
        get={get}
        rowKey={(device) => device.deviceName}
        empty={
          <NextStep text={isWhole ? t('devices.empty') : t('devices.noneFound')}>
            {isWhole && <Button onClick={() => setOpen('one')}>{t('newDevice')}</Button>}
          </NextStep>
        }
        columns={[
          { title: 'DeviceName', render: (_, { deviceName }) => <DeviceLink productKey={productKey} deviceName={deviceName} /> },
          { title: t('state'), render: (_, device) => <OnlineTag device={device} /> },
          { title: t('versions'), render: (_, { versions }) => <Versions versions={versions} /> },
          {
            title: t('tags'),
            render: (_, { tags }) => <Tags of={Object.entries(tags).map(([key, value]) => `${key}=${value}`)} />,
          },
          { title: t('groups'), render: (_, { groups }) => <Tags of={groups} /> },
          { title: t('lastSeen'), render: (_, device) => (device.online ? t('now') : <Time at={device.lastOfflineAt} />) },
        ]}
      />
      <NewDeviceForm productKey={productKey} open={open === 'one'} close={() => setOpen(null)} />
      <ImportForm productKey={productKey} open={open === 'many'} close={() => setOpen(null)} />
      <TagsForm productKey={productKey} open={open === 'tags'} close={() => setOpen(null)} />
    </div>
  );
}

export function Versions({ versions }: { versions: Device['versions'] }) {
  const { t } = useText();
  if (versions.length === 0) return <>{t('neverReported')}</>;
  return <Tags of={versions.map(({ module, version }) => (module === 'default' ? version : `${module} ${version}`))} />;
}

function Tags({ of }: { of: string[] }) {
  return (
    <div className="row">
      {of.map((text) => (
        <Tag key={text}>{text}</Tag>
      ))}
    </div>
  );
}

/** By the beginning of names, by the filter language, or by a group. */
function Narrow({ productKey, of, use }: { productKey: string; of: Narrowed; use: (narrowed: Narrowed) => void }) {
  const { t } = useText();
  const [by, setBy] = useState<Way>(() => WAYS.find((way) => of[way]) ?? 'prefix');
  const groups = useGroups(productKey, by === 'group');
  const set = (value: string) => use(value ? { [by]: value } : {});
  return (
    <div className="row">
      <Select
        aria-label={t('narrowBy')}
        value={by}
        onChange={(next) => {
          setBy(next);
          use({});
        }}
        options={WAYS.map((value) => ({ value, label: t(`narrow.${value}`) }))}
      />
      {by === 'group' ? (
        <Select
          aria-label={t('group')}
          className="field"
          allowClear
          placeholder={t('group')}
          value={of.group}
          onChange={(group?: string) => set(group ?? '')}
          options={(groups.data ?? []).map(({ name }) => ({ value: name, label: name }))}
        />
      ) : (
        <SearchField
          key={by}
          value={of[by] ?? ''}
          aria-label={t(`narrow.${by}`)}
          className="field wide"
          placeholder={by === 'filter' ? 'tag.region = eu and status = offline' : 'lamp-'}
          use={set}
        />
      )}
      {by === 'filter' && <FilterHelp />}
    </div>
  );
}

export const useGroups = (productKey: string, enabled = true) =>
  useQuery({
    queryKey: ['groups', productKey, 'all'],
    enabled,
    queryFn: () =>
      all((cursor) =>
        ask(
          api.GET('/api/v1/products/{productKey}/groups', { params: { path: { productKey }, query: { cursor, limit: 200 } } }),
        ),
      ),
  });

const TABLES = ['facts', 'tags', 'secrets'] as const;

function Export({ productKey, get }: { productKey: string; get: Parameters<typeof all<Device>>[0] }) {
  const { t } = useText();
  const sure = useSure();
  const order = useMutation({
    mutationFn: async (table: (typeof TABLES)[number]) => {
      const devices = await all(get);
      const text =
        table === 'facts'
          ? factsTable(devices)
          : table === 'tags'
            ? tagsTable(devices)
            : await secretsTable(productKey, devices.map(({ deviceName }) => deviceName));
      save(`${productKey}-${table === 'facts' ? 'devices' : table}.csv`, text);
    },
  });
  const choose = (table: (typeof TABLES)[number]) => {
    if (table !== 'secrets') return order.mutate(table);
    sure({ title: t('export.secrets.sure'), yes: t('export'), act: () => order.mutate(table) });
  };
  return (
    <>
      <Dropdown
        trigger={['click']}
        menu={{
          items: TABLES.map((table) => ({ key: table, label: t(`export.${table}`) })),
          onClick: ({ key }) => choose(key as (typeof TABLES)[number]),
        }}
      >
        <Button loading={order.isPending} icon={<DownOutlined />} iconPlacement="end">
          {t('export')}
        </Button>
      </Dropdown>
      <ProblemAlert error={order.error} />
    </>
  );
}

interface WantedDevice {
  deviceName?: string;
  deviceSecret?: string;
}

function NewDeviceForm({ productKey, open, close }: { productKey: string; open: boolean; close: () => void }) {
  const { t } = useText();
  const { message } = App.useApp();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: (wanted: WantedDevice) =>
      ask(
        api.POST('/api/v1/products/{productKey}/devices', { params: { path: { productKey } }, body: given(wanted) }),
      ),
    onSuccess: ({ deviceName }) => {
      void queries.invalidateQueries({ queryKey: ['devices', productKey] });
      message.success(t('done'));
      close();
      void navigate(devicePath(productKey, deviceName));
    },
  });
  return (
    <FormDialog title={t('newDevice')} open={open} close={close} order={order} submit={t('create')}>
      <Form.Item name="deviceName" label="DeviceName" extra={t('deviceName.detail')}>
        <Input autoFocus />
      </Form.Item>
      <Form.Item name="deviceSecret" label="DeviceSecret" extra={t('deviceSecret.detail')}>
        <Input />
      </Form.Item>
    </FormDialog>
  );
}

function ImportForm({ productKey, open, close }: { productKey: string; open: boolean; close: () => void }) {
  const { t } = useText();
  const queries = useQueryClient();
  const order = useMutation({
    mutationFn: (lines: string) =>
      ask(api.POST('/api/v1/products/{productKey}/import-devices', { params: { path: { productKey } }, ...csvBody(lines) })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['devices', productKey] }),
  });
  return (
    <LinesDialog
      title={t('importDevices')}
      open={open}
      close={close}
      detail={t('importDevices.detail')}
      placeholder={'deviceName,deviceSecret\nlamp-0001,\nlamp-0002,'}
      order={order}
      outcome={({ created, refused, results }) => (
        <>
          <Outcome
            text={t('importDevices.outcome', { created, refused })}
            refused={results.flatMap(({ line, deviceName, problem }) => (problem ? [{ line, deviceName, problem }] : []))}
          />
          {created > 0 && <Secrets productKey={productKey} of={results.flatMap(({ deviceName, problem }) => (problem || !deviceName ? [] : [deviceName]))} />}
        </>
      )}
    />
  );
}

/** The secrets of the devices that were just made, for whoever writes them into the devices. */
function Secrets({ productKey, of }: { productKey: string; of: string[] }) {
  const { t } = useText();
  const order = useMutation({ mutationFn: async () => save(`${productKey}-secrets.csv`, await secretsTable(productKey, of)) });
  return (
    <div className="stack">
      <div>
        <Button loading={order.isPending} onClick={() => order.mutate()}>
          {t('importDevices.secrets')}
        </Button>
      </div>
      <ProblemAlert error={order.error} />
    </div>
  );
}
