import type { Event } from '../api/types';
import { useText } from '../texts';
import { Time } from './bits';
import { History } from './event-list';
import { eventText } from './words';

/** What happened to a task, the newest first. */
export function TaskTimeline({ taskId }: { taskId: string }) {
  return <History of={{ taskId }} size={20} show={(event) => <Step event={event} />} />;
}

function Step({ event }: { event: Event }) {
  const text = useText();
  return (
    <div className={`row step ${look(event)}`}>
      <Time at={event.at} /> {eventText(text, event)}
    </div>
  );
}

function look(event: Event): string {
  const to = (event.params as { to?: string }).to;
  if (to === 'SUCCEEDED') return 'good';
  return to === 'FAILED' || event.code === 'taskRetry' || event.code === 'taskLost' ? 'bad' : '';
}
