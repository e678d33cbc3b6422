import { Refusal } from '../api/client';
import type { Problem } from '../api/types';
import { useText } from '../texts';
import { DataTable } from './data-table';
import { problemText } from './problem-text';

interface Line {
  line: number;
  deviceName?: string | null | undefined;
  problem: Problem;
}

/** What is wrong with each of the lines that were refused. */
export function Refused({ of }: { of: Line[] }) {
  const text = useText();
  const { t } = text;
  if (of.length === 0) return null;
  return (
    <DataTable
      size="small"
      rowKey={({ line, deviceName }) => `${line} ${deviceName}`}
      dataSource={of}
      pagination={{ pageSize: 10, hideOnSinglePage: true }}
      columns={[
        { title: t('line'), dataIndex: 'line' },
        { title: 'DeviceName', render: (_, { deviceName }) => <span className="code">{deviceName}</span> },
        { title: t('problem'), render: (_, { problem }) => problemText(text, new Refusal(problem)) },
      ]}
    />
  );
}
