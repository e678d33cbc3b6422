import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Button, Card, Form, Input, Upload } from 'antd';
import { useState } from 'react';

import { api, ask } from '../api/client';
import { Copy } from '../parts/bits';
import { FormDialog } from '../parts/form-dialog';
import { Loaded } from '../parts/loaded';
import { fingerprint } from '../parts/pem';
import { Remove } from '../parts/remove';
import { useText } from '../texts';
import type { Path } from './device';

const PLACE = '/api/v1/products/{productKey}/devices/{deviceName}/certificate';

/** The certificate by which a device may come in, beside its secret. */
export function Certificate({ path }: { path: Path }) {
  const { t } = useText();
  const queries = useQueryClient();
  const [setting, setSetting] = useState(false);
  const queryKey = ['device', path.productKey, path.deviceName, 'certificate'];
  const query = useQuery({ queryKey, queryFn: () => ask(api.GET(PLACE, { params: { path } })) });
  const put = (sha256: string | null) => ask(api.PUT(PLACE, { params: { path }, body: { sha256 } }));
  const refresh = () => queries.invalidateQueries({ queryKey });
  return (
    <Card title={t('certificate')}>
      <Loaded query={query}>
        {({ sha256 }) => (
          <div className="stack">
            {sha256 ? (
              <div className="row">
                <span>SHA-256</span>
                <Copy name="SHA-256" value={sha256} />
              </div>
            ) : (
              <p>{t('certificate.none')}</p>
            )}
            <div className="row">
              <Button onClick={() => setSetting(true)}>{t('certificate.set')}</Button>
              {sha256 && (
                <Remove name={t('certificate')} what={t('certificate.remove')} sure={t('certificate.remove.sure')} remove={() => put(null)} removed={refresh} />
              )}
            </div>
          </div>
        )}
      </Loaded>
      <SetForm open={setting} close={() => setSetting(false)} put={put} set={refresh} />
    </Card>
  );
}

interface Wanted {
  sha256: string;
}

function SetForm({ open, close, put, set }: { open: boolean; close: () => void; put: (sha256: string) => Promise<unknown>; set: () => Promise<void> }) {
  const { t } = useText();
  const [form] = Form.useForm<Wanted>();
  const order = useMutation({
    // As programs print it, with colons or without.
    mutationFn: ({ sha256 }: Wanted) => put(sha256.replace(/[:\s]/g, '').toLowerCase()),
    onSuccess: async () => {
      await set();
      close();
    },
  });
  const read = async (file: File) => {
    const sha256 = await fingerprint(await file.text());
    form.setFields([sha256 ? { name: 'sha256', value: sha256, errors: [] } : { name: 'sha256', errors: [t('certificate.unread')] }]);
  };
  return (
    <FormDialog title={t('certificate.set')} open={open} close={close} order={order} submit={t('save')} form={form}>
      <p>{t('certificate.detail')}</p>
      {/* The browser computes digests only where the page came over HTTPS or from this machine. */}
      {window.isSecureContext && (
        <Form.Item>
          <Upload
            accept=".pem,.crt,.cer"
            showUploadList={false}
            beforeUpload={(file) => {
              void read(file);
              return false;
            }}
          >
            <Button>{t('certificate.choose')}</Button>
          </Upload>
        </Form.Item>
      )}
      <Form.Item name="sha256" label="SHA-256" rules={[{ required: true, message: t('required') }]}>
        <Input.TextArea rows={2} className="code" />
      </Form.Item>
    </FormDialog>
  );
}
