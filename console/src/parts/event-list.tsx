import { useEffect, useState } from 'react';
import { Link } from 'react-router';

import { listen } from '../api/live';
import type { Event } from '../api/types';
import { useText } from '../texts';
import { DeviceLink, Time } from './bits';
import { eventText } from './words';

const SHOWN = 100;

/** What happens while the page is open, the newest first. */
export function EventList({ wanted = () => true }: { wanted?: (event: Event) => boolean }) {
  const { t } = useText();
  const [events, setEvents] = useState<Event[]>([]);
  useEffect(() => listen((more) => setEvents((before) => [...[...more].reverse(), ...before].slice(0, SHOWN))), []);
  const shown = events.filter(wanted);
  if (shown.length === 0) return <p>{t('events.waiting')}</p>;
  return (
    <div className="log" role="log" aria-label={t('events')} tabIndex={0}>
      {shown.map((event) => (
        <EventRow key={event.seq} event={event} />
      ))}
    </div>
  );
}

export function EventRow({ event }: { event: Event }) {
  const text = useText();
  const { productKey, deviceName, jobId } = event;
  return (
    <div className="row">
      <Time at={event.at} />
      <span>{eventText(text, event)}</span>
      {productKey && deviceName && <DeviceLink productKey={productKey} deviceName={deviceName} />}
      {productKey && !deviceName && <Link to={`/products/${productKey}`}>{productKey}</Link>}
      {jobId && <Link to={`/jobs/${jobId}`}>{jobId}</Link>}
    </div>
  );
}
