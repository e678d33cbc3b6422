import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Form, InputNumber } from 'antd';
import { useState } from 'react';

import { api, ask } from '../api/client';
import type { Job } from '../api/types';
import { FormDialog } from '../parts/form-dialog';
import { useText } from '../texts';

const TERMS = ['attempts', 'retryIntervalMinutes', 'startTimeoutMinutes', 'mostPushes'] as const;

type Wanted = { ratePerMinute?: number | null; timeoutMinutes?: number | null } & Partial<Record<(typeof TERMS)[number], number | null>>;

/** What was settled of a job can be changed while it runs; it holds for what happens from then on. */
export function JobChange({ job }: { job: Job }) {
  const { t } = useText();
  const queries = useQueryClient();
  const [open, setOpen] = useState(false);
  const close = () => setOpen(false);
  const before: Wanted = { ratePerMinute: job.ratePerMinute, timeoutMinutes: job.timeoutMinutes };
  for (const key of TERMS) before[key] = job.terms[key];
  const order = useMutation({
    mutationFn: ({ ratePerMinute, timeoutMinutes, ...terms }: Wanted) => {
      const params = { path: { jobId: job.id } };
      const body = { ...changed({ ratePerMinute, timeoutMinutes }, before), terms: changed(terms, before) };
      return ask(api.PATCH('/api/v1/jobs/{jobId}', { params, body }));
    },
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ['job', job.id] });
      close();
    },
  });
  const fields = [...(job.needPush ? (['ratePerMinute'] as const) : []), 'timeoutMinutes', ...TERMS] as const;
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t('change')}</Button>
      <FormDialog title={t('change')} open={open} close={close} order={order} submit={t('save')} initialValues={before}>
        <p>{t('jobChange.detail')}</p>
        {fields.map((key) => (
          <Form.Item key={key} name={key} label={t(`terms.${key}`)}>
            <InputNumber min={0} />
          </Form.Item>
        ))}
      </FormDialog>
    </>
  );
}

/** Another operator's change of something else is not undone by this one. */
function changed<T extends object>(wanted: T, before: object): Partial<T> {
  const entries = Object.entries(wanted).filter(([key, value]) => value !== undefined && value !== (before as Record<string, unknown>)[key]);
  return Object.fromEntries(entries) as Partial<T>;
}
