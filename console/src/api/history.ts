import type { Event } from './types';

/** Which events: those of all that is given. */
export interface WantedEvents {
  productKey?: string | undefined;
  deviceName?: string | undefined;
  jobId?: string;
  taskId?: string;
}

export const isWanted = (event: Event, wanted: WantedEvents) =>
  (['productKey', 'deviceName', 'jobId', 'taskId'] as const).every((key) => !wanted[key] || event[key] === wanted[key]);

/** What happened with what happens, the newest first, each once. */
export function merged(live: readonly Event[], past: readonly Event[]): Event[] {
  const newest = past[0]?.seq ?? 0;
  return [...live.filter(({ seq }) => seq > newest), ...past];
}
