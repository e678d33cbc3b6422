import { Progress, type TableColumnsType } from 'antd';
import { Link } from 'react-router';

import type { Task } from '../api/types';
import { type Text, useText } from '../texts';
import { DeviceLink, StateTag, Time } from './bits';
import { reasonText, waitingText } from './words';

/** The columns of a list of tasks: of a device, naming jobs, or of a job, naming devices. */
export function taskColumns(t: Text['t'], names: 'job' | 'device'): TableColumnsType<Task> {
  return [
    names === 'job'
      ? { title: t('job'), render: (_, { jobId }) => <Link to={`/jobs/${jobId}`}>{jobId}</Link> }
      : { title: 'DeviceName', render: (_, task) => <DeviceLink {...task} /> },
    { title: t('version'), render: (_, { srcVersion, destVersion }) => `${srcVersion ?? '?'} → ${destVersion}` },
    // A job is for one module.
    ...(names === 'job' ? [{ title: t('module'), dataIndex: 'module' }] : []),
    { title: t('state'), render: (_, { state }) => <StateTag kind="taskState" state={state} /> },
    { title: t('progress'), width: 120, render: (_, task) => <TaskProgress task={task} /> },
    { title: t('why'), render: (_, task) => <Why task={task} /> },
    { title: t('attempt'), dataIndex: 'attempt' },
    { title: t('updatedAt'), render: (_, { updatedAt }) => <Time at={updatedAt} /> },
  ];
}

/** 100 % is the end of a download; only the report of the new version is success. */
function TaskProgress({ task: { progress, state } }: { task: Task }) {
  const { t } = useText();
  return <Progress percent={progress} size="small" status={state === 'SUCCEEDED' ? 'success' : 'normal'} format={(percent) => `${percent} %`} aria-label={t('progress')} />;
}

/** Why a task waits, or how it ended; with the device's own words if it had any. */
export function Why({ task }: { task: Task }) {
  const text = useText();
  const why = task.waiting ? waitingText(text, task.waiting) : task.reason ? reasonText(text, task.reason) : '';
  // A reason may hold the device's words already.
  const error = task.reason?.code === 'deviceFailed' ? null : task.deviceError;
  return (
    <>
      {why}
      {error && <div>{text.t('deviceError', { step: error.step, desc: error.desc })}</div>}
    </>
  );
}
