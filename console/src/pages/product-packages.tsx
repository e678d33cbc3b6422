import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Alert, App, Button, Checkbox, Form, Input, Progress, Segmented, Select, Tag, Upload, type UploadFile } from 'antd';
import { useRef, useState } from 'react';
import { Link, useNavigate } from 'react-router';

import { api, ask, given, Refusal } from '../api/client';
import type { Package } from '../api/types';
import { forget, upload } from '../api/upload';
import { NextStep, StateTag, Time } from '../parts/bits';
import { CursorTable } from '../parts/cursor-table';
import { FormDialog } from '../parts/form-dialog';
import { bytes } from '../parts/numbers';
import { useText } from '../texts';
import { useModules } from './product-modules';

export function Packages({ productKey }: { productKey: string }) {
  const { t } = useText();
  const [adding, setAdding] = useState(false);
  return (
    <div className="stack">
      <div className="row">
        <Button type="primary" onClick={() => setAdding(true)}>
          {t('newPackage')}
        </Button>
      </div>
      <CursorTable<Package>
        of={['packages', productKey]}
        label={t('packages')}
        get={(cursor) => ask(api.GET('/api/v1/packages', { params: { query: { productKey, order: 'desc', cursor } } }))}
        rowKey={(row) => row.id}
        empty={
          <NextStep text={t('packages.empty')}>
            <Button onClick={() => setAdding(true)}>{t('newPackage')}</Button>
          </NextStep>
        }
        columns={[
          { title: t('name'), render: (_, { id, name }) => <Link to={`/packages/${id}`}>{name}</Link> },
          { title: t('module'), dataIndex: 'module' },
          { title: t('version'), render: (_, { version }) => <Tag>{version}</Tag> },
          { title: t('packageKind'), render: (_, { srcVersion }) => t(srcVersion ? 'packageKind.diff' : 'packageKind.full') },
          { title: t('state'), render: (_, { state }) => <StateTag kind="packageState" state={state} /> },
          { title: t('size'), render: (_, { size }) => bytes(size) },
          { title: t('createdAt'), render: (_, { createdAt }) => <Time at={createdAt} /> },
        ]}
      />
      <NewPackageForm productKey={productKey} open={adding} close={() => setAdding(false)} />
    </div>
  );
}

type Chosen = File & { uid: string };

/** Of several files the platform reads the names with commas between them. */
const namesOf = (files: File[]) => (files.length === 1 ? files[0]!.name : files.map(({ name }) => name.replaceAll(',', '_')).join(','));

/** A file as the list shows it, with so much of it sent if it is on its way. */
function listed(file: Chosen, sent: number | null): UploadFile {
  const shown = { uid: file.uid, name: `${file.name} (${bytes(file.size)})` };
  if (sent === null) return shown;
  const percent = Math.floor((100 * sent) / Math.max(file.size, 1));
  return { ...shown, status: sent < file.size ? 'uploading' : 'done', percent };
}

const sizeOf = (files: Chosen[]) => files.reduce((all, { size }) => all + size, 0);
const sentOf = (files: Chosen[], sent: Record<string, number>) => files.reduce((all, { uid }) => all + (sent[uid] ?? 0), 0);

interface Wanted {
  kind: 'full' | 'diff';
  name?: string;
  module: string;
  version: string;
  srcVersion?: string;
  signMethod: Package['signMethod'];
  needVerify: boolean;
  acceptImageVersion?: boolean;
  custom?: string;
}

function NewPackageForm({ productKey, open, close }: { productKey: string; open: boolean; close: () => void }) {
  const { t } = useText();
  const { message } = App.useApp();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const modules = useModules(productKey);
  const [files, setFiles] = useState<Chosen[]>([]);
  const [sent, setSent] = useState<Record<string, number>>({});
  const ending = useRef<AbortController | null>(null);
  const several = files.length > 1;
  const order = useMutation({
    mutationFn: async ({ kind, ...wanted }: Wanted) => {
      const { signal } = (ending.current = new AbortController());
      const ids: string[] = [];
      for (const file of files) {
        ids.push(await upload(file, (bytes) => setSent((before) => ({ ...before, [file.uid]: bytes })), signal));
      }
      const srcVersion = kind === 'diff' && !several ? wanted.srcVersion : undefined;
      const query = { ...given({ ...wanted, srcVersion }), fileName: namesOf(files), uploadId: ids.join(',') };
      const made = await ask(
        api.POST('/api/v1/products/{productKey}/packages', { params: { path: { productKey }, query }, body: '', bodySerializer: () => '' }),
      );
      files.forEach(forget);
      return made;
    },
    onSuccess: ({ id }) => {
      void queries.invalidateQueries({ queryKey: ['packages'] });
      message.success(t('done'));
      close();
      void navigate(`/packages/${id}`);
    },
  });
  const stop = () => {
    ending.current?.abort();
    close();
  };
  const differs = order.error instanceof Refusal && order.error.problem.code === 'imageVersionDiffers';
  return (
    <FormDialog
      title={t('newPackage')}
      open={open}
      close={stop}
      closed={() => setFiles([])}
      order={order}
      submit={t('upload')}
      disabled={files.length === 0}
      initialValues={{ kind: 'full', module: 'default', signMethod: 'md5', needVerify: true }}
    >
      <Form.Item label={t('files')} required extra={t('files.detail')}>
        <Upload
          multiple
          disabled={order.isPending}
          fileList={files.map((file) => listed(file, order.isPending ? (sent[file.uid] ?? 0) : null))}
          onRemove={({ uid }) => setFiles((before) => before.filter((file) => file.uid !== uid))}
          beforeUpload={(file) => {
            setFiles((before) => [...before, file]);
            return false;
          }}
        >
          <Button>{t('chooseFiles')}</Button>
        </Upload>
      </Form.Item>
      {several && <Alert type="info" showIcon title={t('files.several')} />}
      <Form.Item name="version" label={t('version')} extra={t('version.detail')} rules={[{ required: true, message: t('required') }]}>
        <Input maxLength={64} />
      </Form.Item>
      <Form.Item name="module" label={t('module')}>
        <Select options={(modules.data ?? []).map(({ name, alias }) => ({ value: name, label: alias ? `${name} (${alias})` : name }))} />
      </Form.Item>
      {!several && (
        <Form.Item name="kind" label={t('packageKind')}>
          <Segmented options={(['full', 'diff'] as const).map((value) => ({ value, label: t(`packageKind.${value}`) }))} />
        </Form.Item>
      )}
      <Form.Item noStyle dependencies={['kind']}>
        {({ getFieldValue }) =>
          !several &&
          getFieldValue('kind') === 'diff' && (
            <Form.Item name="srcVersion" label={t('srcVersion')} rules={[{ required: true, message: t('required') }]}>
              <Input maxLength={64} />
            </Form.Item>
          )
        }
      </Form.Item>
      <Form.Item name="name" label={t('name')} extra={t('packageName.detail')}>
        <Input maxLength={200} />
      </Form.Item>
      <Form.Item name="signMethod" label={t('signMethod')}>
        <Segmented options={[{ value: 'md5', label: 'MD5' }, { value: 'sha256', label: 'SHA256' }]} />
      </Form.Item>
      <Form.Item name="needVerify" valuePropName="checked" extra={t('needVerify.detail')}>
        <Checkbox>{t('needVerify')}</Checkbox>
      </Form.Item>
      {differs && (
        <Form.Item name="acceptImageVersion" valuePropName="checked">
          <Checkbox>{t('acceptImageVersion')}</Checkbox>
        </Form.Item>
      )}
      <Form.Item name="custom" label={t('custom')}>
        <Input.TextArea rows={2} maxLength={4096} />
      </Form.Item>
      {order.isPending && <Progress aria-label={t('upload')} percent={Math.floor((100 * sentOf(files, sent)) / Math.max(sizeOf(files), 1))} />}
    </FormDialog>
  );
}
