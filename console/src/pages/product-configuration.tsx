import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Alert, App, Button, Card, Input, Select, Switch, Tag } from 'antd';
import { lazy, Suspense, useEffect, useState } from 'react';

import { api, ask } from '../api/client';
import { keep, kept, letGo } from '../api/kept';
import type { Configuration, ConfigurationVersion, DeviceConfiguration } from '../api/types';
import { DeviceLink, NextStep, Time } from '../parts/bits';
import { Boundary } from '../parts/boundary';
import { CursorTable } from '../parts/cursor-table';
import { Loaded } from '../parts/loaded';
import { bytes } from '../parts/numbers';
import { ProblemAlert, Warnings } from '../parts/problem';
import { SureButton } from '../parts/sure';
import { useText } from '../texts';

// What finds differences is not small, and seldom needed.
const Difference = lazy(() => import('../parts/difference'));

export default function ConfigurationTab({ productKey }: { productKey: string }) {
  const { t } = useText();
  const path = { productKey };
  const query = useQuery({
    queryKey: ['configuration', productKey, 'now'],
    queryFn: () => ask(api.GET('/api/v1/products/{productKey}/configuration', { params: { path } })),
  });
  return (
    <div className="stack">
      <p>{t('configuration.detail')}</p>
      <Loaded query={query}>{(now) => <Present key={productKey} productKey={productKey} now={now} />}</Loaded>
      <Card title={t('configurationDevices')}>
        <CursorTable<DeviceConfiguration>
          of={['configuration', productKey, 'devices']}
          label={t('configurationDevices')}
          get={(cursor) =>
            ask(
              api.GET('/api/v1/products/{productKey}/configuration/devices', { params: { path, query: { cursor } } }),
            )
          }
          rowKey={(row) => row.deviceName}
          empty={<NextStep text={t('configurationDevices.empty')} />}
          columns={[
            { title: 'DeviceName', render: (_, { deviceName }) => <DeviceLink productKey={productKey} deviceName={deviceName} /> },
            ...(['told', 'fetched', 'answered'] as const).map((what) => ({
              title: t(`configuration.${what}`),
              render: (_: unknown, row: DeviceConfiguration) => {
                const since = row[what];
                return since ? (
                  <>
                    <Tag>{since.version}</Tag>
                    <Time at={since.at} />
                  </>
                ) : (
                  '–'
                );
              },
            })),
            { title: t('configuration.code'), dataIndex: 'code' },
          ]}
        />
      </Card>
      <Card title={t('configurationVersions')}>
        <CursorTable<ConfigurationVersion>
          of={['configuration', productKey, 'versions']}
          label={t('configurationVersions')}
          get={(cursor) =>
            ask(
              api.GET('/api/v1/products/{productKey}/configuration/versions', { params: { path, query: { cursor } } }),
            )
          }
          rowKey={(row) => row.version}
          empty={<NextStep text={t('configurationVersions.empty')} />}
          columns={[
            { title: t('version'), dataIndex: 'version' },
            { title: t('size'), render: (_, { size }) => bytes(size) },
            { title: 'SHA-256', render: (_, { sha256 }) => <span className="code">{sha256.slice(0, 16)}…</span> },
            { title: t('createdAt'), render: (_, { createdAt }) => <Time at={createdAt} /> },
          ]}
        />
      </Card>
    </div>
  );
}

function Present({ productKey, now }: { productKey: string; now: Configuration }) {
  const { t } = useText();
  const { message } = App.useApp();
  const queries = useQueryClient();
  const path = { productKey };
  // What was typed, and what was present when typing began: another operator may have made a version since. It stays
  // with the tab, whatever becomes of the page.
  const key = `otaru-configuration:${productKey}`;
  const [draft, setDraft] = useState(() => kept<{ typed: string; basis: number | undefined }>(key));
  useEffect(() => (draft ? keep(key, draft) : letGo(key)), [key, draft]);
  // Which version is shown beside what the field holds.
  const [chosen, setChosen] = useState<number | undefined>();
  const version = now.present?.version;
  const typed = draft?.typed ?? null;
  const setTyped = (text: string | null) => setDraft((before) => (text === null ? undefined : { typed: text, basis: before ? before.basis : version }));
  const file = useVersionFile(productKey, version);
  const after = { onSuccess: () => queries.invalidateQueries({ queryKey: ['configuration', productKey] }) };
  const make = useMutation({
    mutationFn: (text: string) =>
      ask(
        api.POST('/api/v1/products/{productKey}/configuration/versions', {
          params: { path, query: { expectedVersion: version ?? 0 } },
          headers: { 'Content-Type': 'application/json' },
          bodySerializer: (body: unknown) => body as string,
          body: text as never,
        }),
      ),
    onSuccess: () => {
      setTyped(null);
      setChosen(undefined);
      message.success(t('done'));
      return after.onSuccess();
    },
    // Somebody else may have made a version in this moment.
    onError: after.onSuccess,
  });
  const enable = useMutation({
    mutationFn: (enabled: boolean) =>
      ask(api.PATCH('/api/v1/products/{productKey}/configuration', { params: { path }, body: { enabled } })),
    ...after,
  });
  const push = useMutation({
    mutationFn: () =>
      ask(api.POST('/api/v1/products/{productKey}/configuration/push', { params: { path }, body: { all: true } })),
    ...after,
  });
  const problem = typed === null ? null : jsonProblem(typed);
  const overtaken = draft !== undefined && draft.basis !== version;
  const against = chosen ?? (overtaken ? version : undefined);
  const earlier = useVersionFile(productKey, against);
  return (
    <Card
      title={version === undefined ? t('configuration.none') : t('configuration.present', { version })}
      extra={
        <label className="row">
          {t('configuration.enabled')}
          <Switch checked={now.enabled} loading={enable.isPending} onChange={(on) => enable.mutate(on)} />
        </label>
      }
    >
      <div className="stack">
        {overtaken && (
          <Alert
            type="warning"
            showIcon
            title={t('conflict', { version: version ?? 0 })}
            action={<Button onClick={() => setTyped(null)}>{t('conflict.theirs')}</Button>}
          />
        )}
        <Input.TextArea
          aria-label={t('configuration')}
          className="code"
          autoSize={{ minRows: 6, maxRows: 24 }}
          placeholder={'{"interval": 60}'}
          value={typed ?? file.data ?? ''}
          status={problem ? 'error' : ''}
          onChange={(event) => setTyped(event.target.value)}
        />
        {problem && <Alert type="error" title={t('configuration.noJson')} description={problem} />}
        <Warnings of={push.data?.warnings} />
        <ProblemAlert error={make.error ?? enable.error ?? push.error ?? file.error ?? earlier.error} />
        <div className="row">
          <Button type="primary" disabled={!typed?.trim() || !!problem} loading={make.isPending} onClick={() => make.mutate(typed!)}>
            {overtaken ? t('conflict.mine') : t('configuration.save')}
          </Button>
          <Button disabled={typed === null} onClick={() => setTyped(null)}>
            {t('discard')}
          </Button>
          <SureButton
            title={t('configuration.push.sure')}
            disabled={version === undefined || !now.enabled || typed !== null}
            loading={push.isPending}
            act={() => push.mutate()}
          >
            {t('configuration.push')}
          </SureButton>
          {version !== undefined && (
            <Select
              aria-label={t('configuration.compare')}
              className="field"
              allowClear
              placeholder={t('configuration.compare')}
              value={against}
              onChange={(chosen?: number) => setChosen(chosen)}
              options={Array.from({ length: version }, (_, at) => version - at).map((value) => ({
                value,
                label: t('configuration.compareWith', { version: value }),
              }))}
            />
          )}
          {now.pushedVersion != null && <span>{t('configuration.pushed', { version: now.pushedVersion })}</span>}
        </div>
        {against !== undefined && earlier.data !== undefined && (
          <>
            <Boundary at="difference" isPart>
              <Suspense fallback={null}>
                <Difference
                  label={t('configuration.compareWith', { version: against })}
                  from={earlier.data}
                  to={typed ?? file.data ?? ''}
                />
              </Suspense>
            </Boundary>
            <div className="row">
              <Button onClick={() => setTyped(earlier.data)}>{t('configuration.take', { version: against })}</Button>
            </div>
          </>
        )}
      </div>
    </Card>
  );
}

/** The file of a version, which never changes. */
const useVersionFile = (productKey: string, version: number | undefined) =>
  useQuery({
    queryKey: ['configuration-file', productKey, version],
    enabled: version !== undefined,
    staleTime: Infinity,
    refetchInterval: false,
    queryFn: () =>
      ask(
        api.GET('/api/v1/products/{productKey}/configuration/versions/{version}/file', {
          params: { path: { productKey, version: version! } },
          parseAs: 'text',
        }),
      ) as Promise<string>,
  });

function jsonProblem(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return String(error);
  }
}
