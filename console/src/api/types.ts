import type { components } from './schema';

type Schemas = components['schemas'];

/** What became of an order on many devices. */
export interface Bulk {
  changed: number;
  unchanged: number;
  refused: { line: number; deviceName: string; problem: Problem }[];
}

export type Configuration = Schemas['Configuration'];
export type ConfigurationVersion = Schemas['ConfigurationVersion'];
export type Counts = Schemas['Counts'];
export type Device = Schemas['Device'];
export type DeviceCounts = Schemas['DeviceCounts'];
export type DeviceConfiguration = Schemas['DeviceConfiguration'];
export type Event = Schemas['Event'];
export type Forecast = Schemas['Forecast'];
export type Group = Schemas['Group'];
export type Halt = Schemas['Halt'];
export type Job = Schemas['Job'];
export type JobState = Schemas['JobState'];
export type MeasuredPast = Schemas['MeasuredPast'];
export type Message = Schemas['Message'];
export type Module = Schemas['Module'];
export type NewJob = Schemas['NewJob'];
export type NewScope = Schemas['NewScope'];
export type Package = Schemas['Package'];
export type PackageFile = Schemas['PackageFile'];
/** Why something was refused; its `type` is always `about:blank` and tells nothing. */
export type Problem = Omit<Schemas['Problem'], 'type'>;

export interface Import {
  created: number;
  refused: number;
  results: { line: number; deviceName?: string | null; problem?: Problem | null }[];
}

export type Product = Schemas['Product'];
export type ReasonCount = Schemas['ReasonCount'];
export type SubDevice = Schemas['SubDevice'];
export type Task = Schemas['Task'];
export type TaskState = Schemas['TaskState'];
export type Terms = Schemas['Terms'];
export type Upload = Schemas['Upload'];
export type UpgradeStatistics = Schemas['UpgradeStatistics'];

/** Part of a list; without `nextCursor` it is the last. */
export interface Page<T> {
  items: T[];
  nextCursor?: string | null;
}
