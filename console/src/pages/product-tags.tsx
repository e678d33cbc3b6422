import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Input, Modal } from 'antd';
import { useState } from 'react';

import { api, ask } from '../api/client';
import type { Bulk } from '../api/types';
import { CsvFile } from '../parts/csv-file';
import { ProblemAlert } from '../parts/problem';
import { Refused } from '../parts/refused';
import { useText } from '../texts';

/** Changes the tags of many devices, by a table with a column for each tag. */
export function TagsForm({ productKey, open, close }: { productKey: string; open: boolean; close: () => void }) {
  const { t, n } = useText();
  const queries = useQueryClient();
  const [lines, setLines] = useState('');
  const order = useMutation({
    mutationFn: (body: string): Promise<Bulk> =>
      ask(
        api.POST('/api/v1/products/{productKey}/device-tags', {
          params: { path: { productKey } },
          headers: { 'Content-Type': 'text/csv' },
          bodySerializer: (text: unknown) => text as string,
          body: body as never,
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['devices', productKey] }),
  });
  const afterClose = () => {
    order.reset();
    setLines('');
  };
  const done = order.data;
  return (
    <Modal open={open} onCancel={close} afterClose={afterClose} title={t('changeTags')} footer={null} width={720} mask={{ closable: false }} keyboard={!order.isPending} destroyOnHidden>
      <div className="stack">
        <p>{t('changeTags.detail')}</p>
        <CsvFile use={setLines} />
        <Input.TextArea
          aria-label={t('importDevices.lines')}
          className="code"
          rows={8}
          value={lines}
          placeholder={'deviceName,region,ring\nlamp-0001,eu,canary\nlamp-0002,us,'}
          onChange={({ target }) => setLines(target.value)}
        />
        <ProblemAlert error={order.error} />
        <Button type="primary" disabled={!lines.trim()} loading={order.isPending} onClick={() => order.mutate(lines)}>
          {t('changeTags')}
        </Button>
        {done && (
          <div className="stack" role="status">
            <strong>{t('changeTags.outcome', { changed: n(done.changed), unchanged: n(done.unchanged), refused: n(done.refused.length) })}</strong>
            <Refused of={done.refused} />
          </div>
        )}
      </div>
    </Modal>
  );
}
