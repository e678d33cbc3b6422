import { api, ask } from './client';
import { isWanted, type WantedEvents } from './history';
import { lookedFor } from './pages';
import type { Event, Page } from './types';

/** Pages looked through for events about one thing. */
const MOST = 10;
const LARGEST = 200;

/**
 * A page of what happened, the newest first. Of events about one thing it may be short, even empty, and not be the
 * last: only so many are looked through.
 */
export async function happened(wanted: WantedEvents, limit: number, cursor?: string): Promise<Page<Event>> {
  if (!wanted.about) return page(wanted, limit, cursor);
  return lookedFor((next) => page(wanted, LARGEST, next), (event) => isWanted(event, wanted), limit, MOST, cursor);
}

async function page({ about: _, ...wanted }: WantedEvents, limit: number, cursor?: string): Promise<Page<Event>> {
  const page = await ask(api.GET('/api/v1/events', { params: { query: { ...wanted, order: 'desc', cursor, limit } } }));
  return { items: page.items as Event[], nextCursor: page.nextCursor ?? null };
}
