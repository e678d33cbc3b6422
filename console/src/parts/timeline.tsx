import { useQuery } from '@tanstack/react-query';
import { Timeline } from 'antd';

import { happened } from '../api/events';
import { all } from '../api/pages';
import type { Event } from '../api/types';
import { useText } from '../texts';
import { Time } from './bits';
import { Loaded } from './loaded';
import { eventText } from './words';

/** What happened to a task, the newest first. */
export function TaskTimeline({ taskId }: { taskId: string }) {
  const text = useText();
  const query = useQuery({ queryKey: ['task', taskId, 'events'], queryFn: () => all((cursor) => happened({ taskId }, 200, cursor)) });
  return (
    <Loaded query={query}>
      {(events) => (
        <Timeline
          className="after"
          items={[...events].reverse().map((event) => ({
            key: event.seq,
            color: colour(event),
            content: (
              <>
                <Time at={event.at} /> {eventText(text, event)}
              </>
            ),
          }))}
        />
      )}
    </Loaded>
  );
}

function colour(event: Event): string {
  const to = (event.params as { to?: string }).to;
  if (to === 'SUCCEEDED') return 'green';
  return to === 'FAILED' || event.code === 'taskRetry' || event.code === 'taskLost' ? 'red' : 'blue';
}
