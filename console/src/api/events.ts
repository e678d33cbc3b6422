import { api, ask } from './client';
import type { WantedEvents } from './history';
import type { Event, Page } from './types';

/** A page of what happened, the newest first. */
export async function happened(wanted: WantedEvents, limit: number, cursor?: string): Promise<Page<Event>> {
  const page = await ask(api.GET('/api/v1/events', { params: { query: { ...wanted, order: 'desc', cursor, limit } } }));
  return { items: page.items as Event[], nextCursor: page.nextCursor ?? null };
}
