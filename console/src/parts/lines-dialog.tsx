import type { UseMutationResult } from '@tanstack/react-query';
import { Button, Input, Modal } from 'antd';
import { type ReactNode, useState } from 'react';

import { useText } from '../texts';
import { CsvFile } from './csv-file';
import { ProblemAlert } from './problem';
import { Refused } from './refused';

interface Props<Done> {
  title: string;
  open: boolean;
  close: () => void;
  /** What the lines say. */
  detail: string;
  placeholder: string;
  /** Carries out the lines. */
  order: UseMutationResult<Done, Error, string>;
  /** What came of it. */
  outcome: (done: Done) => ReactNode;
}

/** A dialog that takes a table, typed or from a CSV file. Each time it opens it is as new; a click beside it loses nothing. */
export function LinesDialog<Done>({ title, open, close, detail, placeholder, order, outcome }: Props<Done>) {
  const { t } = useText();
  const [lines, setLines] = useState('');
  const afterClose = () => {
    order.reset();
    setLines('');
  };
  return (
    <Modal open={open} onCancel={close} afterClose={afterClose} title={title} footer={null} width={720} mask={{ closable: false }} keyboard={!order.isPending} destroyOnHidden>
      <div className="stack">
        <p>{detail}</p>
        <CsvFile use={setLines} />
        <Input.TextArea
          aria-label={t('importDevices.lines')}
          className="code"
          rows={8}
          value={lines}
          placeholder={placeholder}
          onChange={({ target }) => setLines(target.value)}
        />
        <ProblemAlert error={order.error} />
        <Button type="primary" disabled={!lines.trim()} loading={order.isPending} onClick={() => order.mutate(lines)}>
          {title}
        </Button>
        {order.data && outcome(order.data)}
      </div>
    </Modal>
  );
}

/** What came of an order over many lines. */
export function Outcome({ text, refused }: { text: string; refused: Parameters<typeof Refused>[0]['of'] }) {
  return (
    <div className="stack" role="status">
      <strong>{text}</strong>
      <Refused of={refused} />
    </div>
  );
}
