import type { Event } from './types';

/** What events are about, by how their codes begin. */
const ABOUT = {
  jobs: ['job', 'wave'],
  tasks: ['task'],
  devices: ['device', 'gateway', 'identity', 'registration', 'version'],
  others: ['configuration', 'group', 'module', 'package', 'product'],
} as const;

export type Subject = keyof typeof ABOUT;
export const SUBJECTS = Object.keys(ABOUT) as Subject[];

const isAbout = ({ code }: Event, subject: Subject) => ABOUT[subject].some((begin) => code.startsWith(begin));

/** Which events: those of all that is given. */
export interface WantedEvents {
  productKey?: string | undefined;
  deviceName?: string | undefined;
  jobId?: string;
  taskId?: string;
  /** Asked for here, not of the platform: it has no list of these. */
  about?: Subject | undefined;
}

export const isWanted = (event: Event, wanted: WantedEvents) =>
  (!wanted.about || isAbout(event, wanted.about)) &&
  (['productKey', 'deviceName', 'jobId', 'taskId'] as const).every((key) => !wanted[key] || event[key] === wanted[key]);

/** What happened with what happens, the newest first, each once. */
export function merged(live: readonly Event[], past: readonly Event[]): Event[] {
  const newest = past[0]?.seq ?? 0;
  return [...live.filter(({ seq }) => seq > newest), ...past];
}
