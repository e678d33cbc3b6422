import { useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input, InputNumber } from 'antd';
import { useState } from 'react';

import { api, ask } from '../api/client';
import type { Job } from '../api/types';
import type { Fields } from '../parts/change';
import { ChangeDialog } from '../parts/change-dialog';
import { clockOf, momentOf } from '../parts/clock';
import { type TextKey, useText } from '../texts';

const NUMBERS = ['attempts', 'retryIntervalMinutes', 'startTimeoutMinutes', 'mostPushes', 'maxMbitPerSecond'] as const;
const TERMS = [...NUMBERS, 'endAt'] as const;

/** Left empty: there is none. */
const LIMITS: readonly string[] = ['timeoutMinutes', 'maxMbitPerSecond'];

/** What was settled of a job can be changed while it runs; it holds for what happens from then on. */
export function JobChange({ job }: { job: Job }) {
  const { t } = useText();
  const queries = useQueryClient();
  const [before, setBefore] = useState<Fields | null>(null);
  const open = () => {
    const terms = Object.fromEntries(TERMS.map((key) => [key, job.terms[key]]));
    setBefore({ ...(job.needPush && { ratePerMinute: job.ratePerMinute }), timeoutMinutes: job.timeoutMinutes, ...terms });
  };
  const fields = [...(job.needPush ? (['ratePerMinute'] as const) : []), 'timeoutMinutes', ...NUMBERS] as const;
  return (
    <>
      <Button onClick={open}>{t('change')}</Button>
      <ChangeDialog
        title={t('change')}
        before={before}
        close={() => setBefore(null)}
        nameOf={(field) => t(`terms.${field}` as TextKey)}
        send={(change, expected) => {
          const params = { path: { jobId: job.id } };
          return ask(api.PATCH('/api/v1/jobs/{jobId}', { params, body: { ...nested(change), expected: nested(expected) } as never }));
        }}
        form={{
          initialValues: { ...before, endAt: clockOf(before?.['endAt']) },
          // What was not touched stays to the millisecond.
          fields: (wanted) => ({ ...wanted, endAt: wanted['endAt'] === clockOf(before?.['endAt']) ? before?.['endAt'] : momentOf(wanted['endAt']) }),
        }}
        sent={() => queries.invalidateQueries({ queryKey: ['job', job.id] })}
      >
        <p>{t('jobChange.detail')}</p>
        {fields.map((key) => (
          <Form.Item key={key} name={key} label={t(`terms.${key}`)} rules={[{ required: !LIMITS.includes(key) && before?.[key] != null, message: t('required') }]}>
            <InputNumber min={0} />
          </Form.Item>
        ))}
        <Form.Item name="endAt" label={t('terms.endAt')} extra={t('terms.endAt.detail')}>
          <Input type="datetime-local" />
        </Form.Item>
      </ChangeDialog>
    </>
  );
}

/** What belongs to a job's terms lies within them. */
function nested(fields: Fields): Fields {
  const isTerm = ([key]: [string, unknown]) => (TERMS as readonly string[]).includes(key);
  const entries = Object.entries(fields);
  const terms = Object.fromEntries(entries.filter(isTerm));
  return { ...Object.fromEntries(entries.filter((entry) => !isTerm(entry))), ...(Object.keys(terms).length > 0 && { terms }) };
}
