import { useQuery } from '@tanstack/react-query';
import { Collapse, Timeline } from 'antd';

import { api, ask } from '../api/client';
import { all } from '../api/pages';
import type { Event } from '../api/types';
import { useText } from '../texts';
import { Time } from './bits';
import { Loaded } from './loaded';
import { eventText } from './words';

/** Pages of events looked through for the last ones. */
const PAGES = 10;
const SHOWN = 100;

/** What happened to a device, the newest first. */
export function TaskTimeline({ path }: { path: { productKey: string; deviceName: string } }) {
  const text = useText();
  const query = useQuery({
    queryKey: ['device', path.productKey, path.deviceName, 'events'],
    queryFn: () => all((cursor) => eventsOf(path, cursor), PAGES),
  });
  return (
    <Collapse
      className="after"
      defaultActiveKey="timeline"
      items={[
        {
          key: 'timeline',
          label: text.t('timeline'),
          children: (
            <Loaded query={query}>
              {(events) => (
                <Timeline
                  items={events.slice(-SHOWN).reverse().map((event) => ({
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
          ),
        },
      ]}
    />
  );
}

async function eventsOf(path: { productKey: string; deviceName: string }, cursor?: string) {
  const page = await ask(api.GET('/api/v1/events', { params: { query: { ...path, cursor, limit: 200 } } }));
  // The last page of events goes on once there are more; here it is the last.
  return { items: page.items as Event[], nextCursor: page.items.length < 200 ? null : page.nextCursor };
}

function colour(event: Event): string {
  const to = (event.params as { to?: string }).to;
  if (to === 'SUCCEEDED') return 'green';
  if (to === 'FAILED' || event.code === 'taskRetry' || event.code === 'taskLost') return 'red';
  return event.code.startsWith('task') ? 'blue' : 'gray';
}
