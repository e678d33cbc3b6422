import { useMutation } from '@tanstack/react-query';
import { Button, Form, InputNumber } from 'antd';
import { useState } from 'react';

import { useText } from '../texts';
import { Time } from './bits';
import { FormDialog } from './form-dialog';

interface Props {
  /** Until when it is allowed by now, be it past. */
  until: string | null | undefined;
  detail: string;
  send: (minutes: number) => Promise<unknown>;
  sent: () => Promise<unknown>;
}

export const isAllowed = (until: string | null | undefined) => !!until && Date.parse(until) > Date.now();

/** Lets devices that were activated register again, for a while. */
export function RegisterAgain({ until, detail, send, sent }: Props) {
  const { t } = useText();
  const [open, setOpen] = useState(false);
  const close = () => setOpen(false);
  const order = useMutation({
    mutationFn: ({ minutes }: { minutes: number }) => send(minutes),
    onSuccess: async () => {
      await sent();
      close();
    },
  });
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t('registerAgain')}</Button>
      <FormDialog title={t('registerAgain')} open={open} close={close} order={order} submit={t('save')} initialValues={{ minutes: 60 }}>
        <p>{detail}</p>
        {isAllowed(until) && (
          <p>
            {t('registerAgain.until')} <Time at={until} />
          </p>
        )}
        <Form.Item name="minutes" label={t('registerAgain.minutes')} extra={t('registerAgain.minutes.detail')} rules={[{ required: true, message: t('required') }]}>
          <InputNumber autoFocus min={0} max={43_200} precision={0} />
        </Form.Item>
      </FormDialog>
    </>
  );
}
