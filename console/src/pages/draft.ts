import type { NewJob, NewScope, Package, Terms } from '../api/types';
import { momentOf, timeText } from '../parts/clock';
import { tagsOf } from '../parts/tags';
import type { Text } from '../texts';

export interface WindowDraft {
  days: string[];
  from: string;
  to: string;
}

/** A job as it is being typed. Numbers that are absent are as usual. */
export interface Draft {
  kind: NewJob['kind'];
  scope: NewScope['kind'];
  names: string[];
  csv: string;
  leaveOutUnknown: boolean;
  percent: number;
  filter: string;
  group: string;
  srcVersions: string[];
  onlyNew: boolean;
  /** As `group:canary, 10%, 500`. */
  waves: string;
  soakMinutes?: number;
  minSuccessPercent?: number;
  maxWaitMinutes?: number;
  maxFailurePercent?: number;
  minOffers?: number;
  maxFailures?: number;
  windows: WindowDraft[];
  /** As an input of date and time has it, by the operator's clock. */
  startAt: string;
  endAt: string;
  endRunning: boolean;
  ratePerMinute?: number;
  maxMbitPerSecond?: number;
  attempts?: number;
  retryIntervalMinutes?: number;
  timeoutMinutes?: number;
  startTimeoutMinutes?: number;
  lostAfterMinutes?: number;
  rollbackFails: boolean;
  overwrite: 'keep' | 'replace' | 'queue';
  needConfirm: boolean;
  needPush: boolean;
  multiModule: boolean;
  protocol: 'mqtt' | 'http';
  /** For the devices to read, each as `name=value`. */
  tags: string[];
}

/** The kinds of job that a package can have as it is now: none while it is being verified. */
export function kindsOf({ state }: Package): NewJob['kind'][] {
  if (state === 'VERIFYING') return [];
  return state === 'UNVERIFIED' || state === 'FAILED' ? ['VERIFY'] : ['STATIC', 'DYNAMIC'];
}

/** Whether a package must still succeed on test devices. */
export const isUnproven = (of: Package) => kindsOf(of).includes('VERIFY');

/** The longest file in bytes that devices can ask for over MQTT. */
const LARGEST_OVER_MQTT = 16 * 1024 * 1024;

/** Why a package cannot travel over MQTT; null if it can. */
export function whyNotMqtt({ files, size, signMethod }: Package): 'files.several' | 'files.tooLarge' | 'files.sha256' | null {
  if (files) return 'files.several';
  if (size > LARGEST_OVER_MQTT) return 'files.tooLarge';
  return signMethod === 'sha256' ? 'files.sha256' : null;
}

export function draftFor(of: Package): Draft {
  const unproven = isUnproven(of);
  return {
    kind: unproven ? 'VERIFY' : 'STATIC',
    scope: unproven ? 'named' : 'all',
    names: [],
    csv: '',
    leaveOutUnknown: false,
    percent: 10,
    filter: '',
    group: '',
    srcVersions: [],
    onlyNew: false,
    waves: '',
    windows: [],
    startAt: '',
    endAt: '',
    endRunning: false,
    rollbackFails: true,
    overwrite: 'queue',
    needConfirm: false,
    needPush: true,
    multiModule: false,
    protocol: whyNotMqtt(of) ? 'http' : 'mqtt',
    tags: [],
  };
}

/** A draft as the package allows it now; what it no longer allows is as in a new one. */
export function fitting(draft: Draft, of: Package): Draft {
  const { kind, scope, protocol } = draftFor(of);
  return {
    ...draft,
    ...(!kindsOf(of).includes(draft.kind) && { kind, scope }),
    ...(whyNotMqtt(of) && { protocol }),
  };
}

/** Which scopes a kind of job can have. */
export const SCOPES: Record<NewJob['kind'], NewScope['kind'][]> = {
  VERIFY: ['named'],
  STATIC: ['all', 'named', 'csv', 'percent', 'filter', 'group'],
  DYNAMIC: ['all', 'filter', 'group'],
};

/** Whether versions to upgrade from must be named: for whoever comes, only a difference says it by itself. */
export const needsSources = ({ kind, scope }: Draft, of: Package) => kind === 'DYNAMIC' && scope === 'all' && !of.srcVersion;

/** Whether the scope says enough to be asked about. */
export function isScopeWhole(draft: Draft, of: Package): boolean {
  if (needsSources(draft, of) && draft.srcVersions.length === 0) return false;
  const parts = { named: draft.names.length > 0, csv: draft.csv.trim() !== '', filter: draft.filter.trim() !== '', group: draft.group !== '' };
  return draft.scope in parts ? parts[draft.scope as keyof typeof parts] : true;
}

function scopeOf(draft: Draft): NewScope {
  switch (draft.scope) {
    case 'named':
      return { kind: 'named', deviceNames: draft.names };
    case 'csv':
      return { kind: 'csv', csv: draft.csv, leaveOutUnknown: draft.leaveOutUnknown };
    case 'percent':
      return { kind: 'percent', percent: draft.percent };
    case 'filter':
      return { kind: 'filter', filter: draft.filter };
    case 'group':
      return { kind: 'group', group: draft.group };
    default:
      return { kind: 'all' };
  }
}

/** Reads waves as they are typed; null if one of them is none. */
export function wavesOf(text: string): NonNullable<Terms['waves']> | null {
  const words = text.split(/[,，、;；\n]/).map((word) => word.trim()).filter(Boolean);
  const waves = words.map((word) => {
    const group = /^group[:：](.+)$/.exec(word);
    if (group) return { kind: 'group' as const, group: group[1]! };
    const number = /^(\d+(?:\.\d+)?)\s*([%％]?)$/.exec(word);
    if (!number) return null;
    if (number[2]) return { kind: 'percent' as const, percent: Number(number[1]) };
    return Number.isInteger(Number(number[1])) ? { kind: 'count' as const, n: Number(number[1]) } : null;
  });
  return waves.includes(null) ? null : (waves as NonNullable<Terms['waves']>);
}

/** The waves of a draft; null if they cannot be read. */
const wavesIn = (draft: Draft) => (draft.kind === 'STATIC' ? wavesOf(draft.waves) : []);

/** Whether its waves can be read, if it has any. */
export const areWavesRight = (draft: Draft) => wavesIn(draft) !== null;

/** Whether nothing stops the job by itself. A verification is of devices that are watched. */
export const isUnbraked = (draft: Draft) =>
  draft.kind !== 'VERIFY' && wavesIn(draft)?.length === 0 && draft.maxFailurePercent === undefined && draft.maxFailures === undefined;

const time = (text: string) => momentOf(text) ?? undefined;

/** The order that a draft is. */
export function orderOf(draft: Draft, packageId: string): NewJob {
  const waves = wavesIn(draft) ?? [];
  const terms: Terms = {
    srcVersions: draft.srcVersions,
    attempts: draft.attempts,
    retryIntervalMinutes: draft.attempts === 1 ? undefined : draft.retryIntervalMinutes,
    startTimeoutMinutes: draft.needPush ? draft.startTimeoutMinutes : undefined,
    overwrite: draft.overwrite,
    needConfirm: draft.needConfirm,
    multiModule: draft.multiModule,
    maxMbitPerSecond: draft.maxMbitPerSecond,
    maxFailurePercent: draft.maxFailurePercent,
    minOffers: draft.maxFailurePercent === undefined ? undefined : draft.minOffers,
    maxFailures: draft.maxFailures,
    lostAfterMinutes: draft.lostAfterMinutes,
    rollbackFails: draft.rollbackFails ? undefined : false,
    startAt: time(draft.startAt),
    endAt: time(draft.endAt),
    endRunning: draft.endAt && draft.endRunning ? true : undefined,
    tags: Object.entries(tagsOf(draft.tags)).map(([key, value]) => ({ key, value })),
    windows: draft.windows.map(({ days, from, to }) => ({ days: days.length ? days : undefined, from, to })) as Terms['windows'],
  };
  if (waves.length > 0) {
    terms.waves = waves;
    terms.soakMinutes = draft.soakMinutes;
    terms.maxWaitMinutes = draft.maxWaitMinutes;
    if (draft.minSuccessPercent !== undefined) terms.minSuccess = { kind: 'percent', percent: draft.minSuccessPercent };
  }
  if (draft.kind === 'DYNAMIC') terms.onlyNew = draft.onlyNew;
  return {
    kind: draft.kind,
    packageId,
    scope: scopeOf(draft),
    needPush: draft.needPush,
    protocol: draft.protocol,
    ratePerMinute: draft.needPush ? draft.ratePerMinute : undefined,
    timeoutMinutes: draft.timeoutMinutes,
    terms,
  };
}

/** What will happen, in plain sentences; `matched` is null while that is not known. */
export function summary({ t, n, language }: Text, draft: Draft, of: Package, matched: number | null): string[] {
  const said: string[] = [];
  const local = (text: string) => timeText(language, text);
  const what = { version: of.version, module: of.module, count: matched === null ? '…' : n(matched) };
  said.push(t(`summary.${draft.kind}`, what));
  said.push(t(`summary.scope.${draft.scope}`, { percent: draft.percent, filter: draft.filter, group: draft.group }));
  if (draft.srcVersions.length > 0) said.push(t('summary.srcVersions', { versions: draft.srcVersions.join(', ') }));
  if (draft.kind === 'DYNAMIC' && draft.onlyNew) said.push(t('summary.onlyNew'));
  if (wavesIn(draft)?.length) {
    said.push(t('summary.waves', { waves: draft.waves, soak: draft.soakMinutes ?? 60 }));
    said.push(t('summary.minSuccess', { percent: draft.minSuccessPercent ?? 90 }));
    if (draft.maxWaitMinutes !== undefined) said.push(t(draft.maxWaitMinutes > 0 ? 'summary.maxWait' : 'summary.maxWait.none', { minutes: draft.maxWaitMinutes }));
  }
  if (draft.maxFailurePercent !== undefined) said.push(t('summary.failurePercent', { percent: draft.maxFailurePercent, offers: draft.minOffers ?? 10 }));
  if (draft.maxFailures !== undefined) said.push(t('summary.failures', { count: draft.maxFailures }));
  said.push(draft.startAt ? t('summary.startAt', { at: local(draft.startAt) }) : t('summary.now'));
  if (draft.endAt) said.push(t(draft.endRunning ? 'summary.endAt.running' : 'summary.endAt', { at: local(draft.endAt) }));
  for (const { days, from, to } of draft.windows) {
    const names = days.map((day) => t(`day.${day}` as 'day.mon')).join(' ') || t('everyDay');
    said.push(t('summary.window', { days: names, from, to }));
  }
  said.push(draft.needPush ? t('summary.rate', { rate: draft.ratePerMinute ?? 10_000 }) : t('summary.noPush'));
  said.push(t(`summary.protocol.${draft.protocol}`));
  if (draft.maxMbitPerSecond) said.push(t('summary.bandwidth', { mbit: draft.maxMbitPerSecond }));
  if (draft.needConfirm) said.push(t('summary.confirm'));
  said.push(t(`overwrite.${draft.overwrite}.summary`));
  if (draft.multiModule) said.push(t('summary.multiModule'));
  said.push(t('summary.attempts', { attempts: draft.attempts ?? 3 }));
  if (draft.retryIntervalMinutes !== undefined && draft.attempts !== 1) said.push(t('summary.retryInterval', { minutes: draft.retryIntervalMinutes }));
  if (draft.startTimeoutMinutes !== undefined && draft.needPush) {
    said.push(draft.startTimeoutMinutes > 0 ? t('summary.startTimeout', { minutes: draft.startTimeoutMinutes }) : t('summary.startTimeout.none'));
  }
  if (draft.timeoutMinutes !== undefined) said.push(t('summary.timeout', { minutes: draft.timeoutMinutes }));
  if (draft.lostAfterMinutes !== undefined) {
    said.push(t(draft.lostAfterMinutes > 0 ? 'summary.lostAfter' : 'summary.lostAfter.none', { minutes: draft.lostAfterMinutes }));
  }
  if (!draft.rollbackFails) said.push(t('summary.rollback'));
  if (draft.tags.length > 0) said.push(t('summary.tags', { tags: draft.tags.join(', ') }));
  return said;
}
