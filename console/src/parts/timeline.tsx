import { useQuery } from '@tanstack/react-query';
import { Timeline } from 'antd';

import { api, ask } from '../api/client';
import { all } from '../api/pages';
import type { Event } from '../api/types';
import { useText } from '../texts';
import { Time } from './bits';
import { Loaded } from './loaded';
import { eventText } from './words';

/** What happened to a task, the newest first. */
export function TaskTimeline({ taskId }: { taskId: string }) {
  const text = useText();
  const query = useQuery({ queryKey: ['task', taskId, 'events'], queryFn: () => all((cursor) => eventsOf(taskId, cursor)) });
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

async function eventsOf(taskId: string, cursor?: string) {
  const page = await ask(api.GET('/api/v1/events', { params: { query: { taskId, cursor, limit: 200 } } }));
  // The last page of events goes on once there are more; here it is the last.
  return { items: page.items as Event[], nextCursor: page.items.length < 200 ? null : page.nextCursor };
}

function colour(event: Event): string {
  const to = (event.params as { to?: string }).to;
  if (to === 'SUCCEEDED') return 'green';
  return to === 'FAILED' || event.code === 'taskRetry' || event.code === 'taskLost' ? 'red' : 'blue';
}
