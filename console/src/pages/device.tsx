import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Card, Descriptions, Segmented, Tag } from 'antd';
import { useState } from 'react';
import { Link, useNavigate, useParams } from 'react-router';

import { api, ask } from '../api/client';
import { useStatus } from '../api/status';
import type { Device, Task } from '../api/types';
import { Copy, DeviceLink, groupPath, LinkButton, NextStep, OnlineTag, Time } from '../parts/bits';
import { CursorTable } from '../parts/cursor-table';
import { DataTable } from '../parts/data-table';
import { History } from '../parts/event-list';
import { Loaded, present } from '../parts/loaded';
import { MessageLog } from '../parts/message-log';
import { Page } from '../parts/page';
import { ProblemAlert } from '../parts/problem';
import { isAllowed, RegisterAgain } from '../parts/register-again';
import { Remove } from '../parts/remove';
import { SureButton } from '../parts/sure';
import { taskColumns } from '../parts/task';
import { TaskTimeline } from '../parts/timeline';
import { useText } from '../texts';
import { Certificate } from './device-certificate';
import { SubDevices } from './device-gateway';
import { Tags } from './device-tags';
import { useProduct } from './product';

export interface Path {
  productKey: string;
  deviceName: string;
}

export default function DevicePage() {
  const { t } = useText();
  const { productKey = '', deviceName = '' } = useParams();
  const path = { productKey, deviceName };
  const product = useProduct(productKey);
  const device = useQuery({
    queryKey: ['device', productKey, deviceName],
    queryFn: () => ask(api.GET('/api/v1/products/{productKey}/devices/{deviceName}', { params: { path } })),
  });
  const within = [
    { text: t('products'), to: '/products' },
    { text: product.data?.name ?? productKey, to: `/products/${productKey}/devices` },
  ];
  return (
    <Page title={deviceName} within={within} actions={present(device) && <Actions path={path} device={device.data!} registers={!!product.data?.dynamicRegistration} />}>
      <Loaded query={device}>
        {(device) => (
          <>
            {device.identitySharedSince && <Alert type="warning" showIcon title={t('identityShared')} />}
            <Facts path={path} device={device} />
            <MqttxValues path={path} version={device.versions.find(({ module }) => module === 'default')?.version ?? '1.0.0'} />
            <Card title={t('tasks')}>
              <CursorTable<Task>
                of={['device', productKey, deviceName, 'tasks']}
                label={t('tasks')}
                get={(cursor) =>
                  ask(
                    api.GET('/api/v1/products/{productKey}/devices/{deviceName}/tasks', {
                      params: { path, query: { order: 'desc', cursor } },
                    }),
                  )
                }
                rowKey={(task) => task.id}
                empty={
                  <NextStep text={t('deviceTasks.empty')}>
                    <LinkButton to={`/products/${productKey}/packages`}>{t('packages')}</LinkButton>
                  </NextStep>
                }
                columns={taskColumns(t, 'job')}
                more={(task) => <TaskTimeline taskId={task.id} />}
              />
            </Card>
            {product.data?.nodeType === 'gateway' && <SubDevices path={path} />}
            <MessageLog path={path} />
            <Card title={t('events')}>
              <History of={path} size={20} />
            </Card>
            <Certificate path={path} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Actions({ path, device, registers }: { path: Path; device: Device; registers: boolean }) {
  const { t } = useText();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const enable = useMutation({
    mutationFn: (enabled: boolean) =>
      ask(api.PATCH('/api/v1/products/{productKey}/devices/{deviceName}', { params: { path }, body: { enabled } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['device', path.productKey, path.deviceName] }),
  });
  return (
    <>
      <SureButton
        title={t(device.enabled ? 'disable.sure' : 'enable.sure')}
        danger={device.enabled}
        loading={enable.isPending}
        act={() => enable.mutate(!device.enabled)}
      >
        {t(device.enabled ? 'disable' : 'enable')}
      </SureButton>
      {registers && (
        <RegisterAgain
          until={device.registrationAllowedUntil}
          detail={t('registerAgain.device')}
          send={(minutes) =>
            ask(api.POST('/api/v1/products/{productKey}/devices/{deviceName}/allow-registration', { params: { path }, body: { minutes } }))
          }
          sent={() => queries.invalidateQueries({ queryKey: ['device', path.productKey, path.deviceName] })}
        />
      )}
      <Remove
        name={path.deviceName}
        remove={() => ask(api.DELETE('/api/v1/products/{productKey}/devices/{deviceName}', { params: { path } }))}
        removed={() => navigate(`/products/${path.productKey}/devices`)}
      />
      <ProblemAlert error={enable.error} />
    </>
  );
}

function Facts({ path, device }: { path: Path; device: Device }) {
  const { t } = useText();
  return (
    <Card>
      <Descriptions
        column={{ xs: 1, md: 2 }}
        items={[
          { key: 'state', label: t('state'), children: <OnlineTag device={device} /> },
          {
            key: 'since',
            label: device.online ? t('onlineSince') : t('lastSeen'),
            children: <Time at={device.online ? device.lastOnlineAt : device.lastOfflineAt} />,
          },
          { key: 'first', label: t('firstOnlineAt'), children: <Time at={device.firstOnlineAt} /> },
          { key: 'created', label: t('createdAt'), children: <Time at={device.createdAt} /> },
          ...(device.gateway ? [{ key: 'gateway', label: t('nodeType.gateway'), children: <DeviceLink {...device.gateway} /> }] : []),
          ...(isAllowed(device.registrationAllowedUntil)
            ? [{ key: 'again', label: t('registerAgain.until'), children: <Time at={device.registrationAllowedUntil} /> }]
            : []),
          { key: 'groups', label: t('groups'), children: <Groups productKey={path.productKey} names={device.groups} /> },
          {
            key: 'tags',
            label: t('tags'),
            children: <Tags path={path} tags={device.tags} />,
          },
        ]}
      />
      <DataTable
        className="after"
        aria-label={t('versions')}
        size="small"
        rowKey="module"
        dataSource={device.versions}
        locale={{ emptyText: <NextStep text={t('versions.deviceEmpty')} /> }}
        columns={[
          { title: t('module'), dataIndex: 'module' },
          { title: t('version'), render: (_, { version }) => <Tag>{version}</Tag> },
          { title: t('reportedAt'), render: (_, { reportedAt }) => <Time at={reportedAt} /> },
        ]}
      />
    </Card>
  );
}

function Groups({ productKey, names }: { productKey: string; names: string[] }) {
  if (names.length === 0) return <>–</>;
  return (
    <div className="row">
      {names.map((group) => (
        <Link key={group} to={groupPath({ productKey, group })}>
          {group}
        </Link>
      ))}
    </div>
  );
}

/** What to paste into MQTTX, and what to send with it; the version is what the device is to say first. */
function MqttxValues({ path, version }: { path: Path; version: string }) {
  const { t } = useText();
  const [secretShown, showSecret] = useState(false);
  const { productKey, deviceName } = path;
  const [sign, setSign] = useState('hmacsha256');
  const credentials = useQuery({
    queryKey: ['credentials', productKey, deviceName],
    refetchInterval: false,
    queryFn: () => ask(api.GET('/api/v1/products/{productKey}/devices/{deviceName}/credentials', { params: { path } })),
  });
  const status = useStatus();
  const { host, port } = doorOf(status.data?.deviceAddresses ?? [], window.location.hostname);
  return (
    <Card title={t('mqttx')}>
      <p>{t('mqttx.detail')}</p>
      <Loaded query={credentials}>
        {({ logins, deviceSecret }) => {
          const login = logins.find(({ signMethod }) => signMethod === sign) ?? logins[0]!;
          const values: [string, string][] = [
            [t('mqttx.host'), host],
            [t('mqttx.port'), port],
            ['Client ID', login.clientId],
            [t('mqttx.username'), login.username],
            [t('mqttx.password'), login.password],
          ];
          const first: [string, string][] = [
            [t('mqttx.topic'), `/ota/device/inform/${productKey}/${deviceName}`],
            [t('mqttx.payload'), JSON.stringify({ id: '1', params: { version } })],
          ];
          const notices: [string, string][] = [[t('mqttx.subscribe'), `/ota/device/upgrade/${productKey}/${deviceName}`]];
          const end: [string, string][] = [
            [t('mqttx.topic'), `/ota/device/progress/${productKey}/${deviceName}`],
            [t('mqttx.payload'), '{"id":"2","params":{"step":"50","desc":""}}'],
          ];
          return (
            <div className="stack">
              <Segmented
                aria-label={t('signMethod')}
                value={login.signMethod}
                onChange={setSign}
                options={logins.map(({ signMethod }) => ({ value: signMethod, label: signMethod.toUpperCase().replace('HMAC', 'HMAC-') }))}
              />
              <Values of={values} />
              <h3>{t('mqttx.first')}</h3>
              <Values of={first} />
              <h3>{t('mqttx.notice')}</h3>
              <Values of={notices} />
              <h3>{t('mqttx.progress')}</h3>
              <Values of={end} />
              <p>{t('mqttx.end')}</p>
              {secretShown ? (
                <Values of={[['DeviceSecret', deviceSecret]]} />
              ) : (
                <div>
                  <Button onClick={() => showSecret(true)}>{t('deviceSecret.show')}</Button>
                </div>
              )}
            </div>
          );
        }}
      </Loaded>
    </Card>
  );
}

function Values({ of }: { of: [string, string][] }) {
  return (
    <Descriptions
      size="small"
      bordered
      column={1}
      styles={{ label: { width: 140 } }}
      items={of.map(([name, value]) => ({ key: name, label: name, children: <Copy name={name} value={value} /> }))}
    />
  );
}

/** Where devices connect, as seen from where the operator's browser is. */
export function doorOf(addresses: readonly string[], here: string): { host: string; port: string } {
  const [address = ':1883'] = addresses;
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const everywhere = host === '' || host === '0.0.0.0' || host === '::';
  return { host: everywhere ? here.replace(/^\[|\]$/g, '') : host, port: address.slice(colon + 1) };
}
