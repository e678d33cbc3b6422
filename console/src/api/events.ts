import { api, ask } from './client';
import type { Event, Page } from './types';

interface Wanted {
  productKey?: string | undefined;
  deviceName?: string | undefined;
  taskId?: string;
}

/** A page of what happened, the oldest first. The platform's last page goes on once there are more; here it is the last. */
export async function happened(wanted: Wanted, limit: number, cursor?: string): Promise<Page<Event>> {
  const page = await ask(api.GET('/api/v1/events', { params: { query: { ...wanted, cursor, limit } } }));
  return { items: page.items as Event[], nextCursor: page.items.length < limit ? null : page.nextCursor };
}
