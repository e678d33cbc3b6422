import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import { Button } from 'antd';
import { type ReactNode, useEffect, useState } from 'react';
import { Link } from 'react-router';

import { happened } from '../api/events';
import { isWanted, merged, type WantedEvents } from '../api/history';
import { listen } from '../api/live';
import type { Event } from '../api/types';
import { useText } from '../texts';
import { DeviceLink, NextStep, Time } from './bits';
import { Loaded } from './loaded';
import { eventText } from './words';

/** Events that came while the page was open and are shown; the older of them are to be asked for again. */
const SHOWN = 100;

const newestFirst = (more: readonly Event[], before: readonly Event[]) => [...[...more].reverse(), ...before].slice(0, SHOWN);

/** What happened last and what happens, the newest first; held still as long as the operator wants to read. */
export function EventList() {
  const { t } = useText();
  const [live, setLive] = useState<Event[]>([]);
  const [held, setHeld] = useState<Event[] | null>(null);
  useEffect(() => listen((more) => setLive((before) => newestFirst(more, before))), []);
  const latest = useQuery({ queryKey: ['events', 'latest'], queryFn: () => happened({}, 20), refetchInterval: false, staleTime: 0, gcTime: 0 });
  const now = merged(live, latest.data?.items ?? []).slice(0, SHOWN);
  const events = held ?? now;
  if (events.length === 0) return <p>{t('events.waiting')}</p>;
  return (
    <div className="stack">
      <div>
        <Button size="small" onClick={() => setHeld(held ? null : now)}>
          {t(held ? 'events.goOn' : 'events.hold')}
        </Button>
      </div>
      <div className="log" role="log" aria-label={t('events')} tabIndex={0}>
        {events.map((event) => (
          <EventRow key={event.seq} event={event} />
        ))}
      </div>
    </div>
  );
}

interface Props {
  of: WantedEvents;
  /** Events asked for at once. */
  size?: number;
  /** An event, as a row if absent. */
  show?: (event: Event) => ReactNode;
}

/** What happened, from what happens back to the oldest that is kept. */
export function History({ of, size = 50, show = (event) => <EventRow event={event} of={of} /> }: Props) {
  const narrowed = JSON.stringify(of);
  // Other events begin anew.
  return <HistoryOf key={narrowed} narrowed={narrowed} of={of} size={size} show={show} />;
}

function HistoryOf({ narrowed, of, size, show }: Required<Props> & { narrowed: string }) {
  const { t } = useText();
  const queries = useQueryClient();
  const [live, setLive] = useState<Event[]>([]);
  useEffect(() => {
    const wanted = JSON.parse(narrowed) as WantedEvents;
    return listen((more) => {
      const fitting = more.filter((event) => isWanted(event, wanted));
      if (fitting.length > 0) setLive((before) => newestFirst(fitting, before));
    });
  }, [narrowed]);
  const queryKey = ['events', of];
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam }) => happened(of, size, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
    refetchInterval: false,
    staleTime: 0,
    gcTime: 0,
  });
  // So many came that some were let go: what is between these and what was asked for is not known any more.
  const broken = live.length === SHOWN;
  const older = async () => {
    if (!broken) return query.fetchNextPage();
    setLive([]);
    return queries.resetQueries({ queryKey });
  };
  return (
    <Loaded query={query}>
      {({ pages }) => {
        const events = broken ? live : merged(live, pages.flatMap(({ items }) => items));
        return (
          <>
            {events.length === 0 && <NextStep text={t(query.hasNextPage ? 'events.noneFound' : 'events.none')} />}
            <ol className="history" aria-label={t('events')} reversed>
              {events.map((event) => (
                <li key={event.seq}>{show(event)}</li>
              ))}
            </ol>
            {(broken || query.hasNextPage) && (
              <Button className="after" loading={query.isFetching} onClick={() => void older()}>
                {t('events.older')}
              </Button>
            )}
          </>
        );
      }}
    </Loaded>
  );
}

/** An event, without what the page is about anyway. */
function EventRow({ event, of = {} }: { event: Event; of?: WantedEvents }) {
  const text = useText();
  const { productKey, deviceName, jobId } = event;
  return (
    <div className="row">
      <Time at={event.at} />
      <span>{eventText(text, event)}</span>
      {productKey && deviceName && !of.deviceName && <DeviceLink productKey={productKey} deviceName={deviceName} />}
      {productKey && !deviceName && !of.productKey && !of.jobId && <Link to={`/products/${productKey}`}>{productKey}</Link>}
      {jobId && !of.jobId && <Link to={`/jobs/${jobId}`}>{jobId}</Link>}
    </div>
  );
}
