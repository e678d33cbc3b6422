import { Card, Statistic } from 'antd';
import type { ReactNode } from 'react';

import type { Counts, ReasonCount, UpgradeStatistics } from '../api/types';
import { useText } from '../texts';
import { BAD, GOOD, OFF, TimeChart } from './chart';
import { DataTable } from './data-table';
import { filledIn, span } from './numbers';

interface Props {
  title: string;
  of: UpgradeStatistics;
  /** How many tasks are in which state now, if that is known: one that was started again is no longer what it ended as. */
  counts?: Pick<Counts, 'succeeded' | 'failed' | 'canceled'>;
  /** The tasks that ended for a reason. */
  tasks?: (reason: ReasonCount) => ReactNode;
}

/** How upgrades ended: rates with their denominators, over time, and why. */
export function Outcomes({ title, of, counts, tasks }: Props) {
  const { t, n, code } = useText();
  const { succeeded, failed, canceled } = counts ?? of;
  const ended = succeeded + failed;
  const all = ended + canceled;
  const ofHowMany = (whole: number) => (whole > 0 ? <small>/ {n(whole)}</small> : undefined);
  const hasAgain = of.succeeded + of.failed + of.canceled !== all;
  return (
    <Card title={title}>
      <div className="stack">
        <div className="grid tight">
          <Statistic
            title={t('successRate')}
            value={ended === 0 ? '–' : `${((100 * succeeded) / ended).toFixed(1)} %`}
            suffix={ended > 0 ? <small>{t('ofCount', { part: succeeded, whole: ended })}</small> : undefined}
          />
          <Statistic title={t('failed')} value={n(failed)} suffix={ofHowMany(ended)} />
          <Statistic title={t('canceled')} value={n(canceled)} suffix={ofHowMany(all)} />
          <Statistic title={t('meanDuration')} value={of.meanSeconds == null ? '–' : span(of.meanSeconds, t)} />
          <Statistic title={t('longestDuration')} value={of.longestSeconds == null ? '–' : span(of.longestSeconds, t)} />
        </div>
        {hasAgain && <p className="hint plain">{t('outcomes.again')}</p>}
        {of.points.length > 0 && (
          <TimeChart
            kind="bars"
            label={t('overTime')}
            points={filledIn(of.points, of.stepMinutes)}
            series={[
              { key: 'succeeded', name: t('succeeded'), colour: GOOD },
              { key: 'failed', name: t('failed'), colour: BAD },
              { key: 'canceled', name: t('canceled'), colour: OFF },
            ]}
          />
        )}
        {of.reasons.length > 0 && (
          <DataTable
            aria-label={t('reasons')}
            size="small"
            rowKey={(row) => `${row.state} ${row.code}`}
            dataSource={of.reasons}
            columns={[
              { title: t('reasons'), render: (_, row) => code('reasonKind', row.code) },
              { title: t('state'), render: (_, row) => code('taskState', row.state) },
              { title: t('count'), render: (_, row) => n(row.tasks) },
              ...(tasks ? [{ title: t('examples'), render: (_: unknown, row: ReasonCount) => tasks(row) }] : []),
            ]}
          />
        )}
      </div>
    </Card>
  );
}
