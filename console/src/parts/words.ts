import type { Event, Halt, Task, Terms } from '../api/types';
import type { Text, Values } from '../texts';
import { timeText } from './clock';

/** The values of a code that are plain, times as the operator's clock tells them. */
function plain({ t, language }: Text, of: object): Values {
  const entries = Object.entries(of).flatMap(([key, value]): [string, string | number][] => {
    if (typeof value === 'number') return [[key, value]];
    if (typeof value === 'boolean') return [[key, t(value ? 'yes' : 'no')]];
    if (typeof value !== 'string') return [];
    const isTime = /^\d{4}-\d\d-\d\dT/.test(value);
    return [[key, isTime ? timeText(language, value) : value]];
  });
  return Object.fromEntries(entries);
}

export function haltText(text: Text, halt: Halt): string {
  return text.code('halt', halt.code, plain(text, halt));
}

export function waitingText(text: Text, waiting: NonNullable<Task['waiting']>): string {
  if (waiting.code === 'halted') return text.t('waiting.halted', { why: haltText(text, waiting.halt) });
  if (waiting.code === 'queuedBehind' && waiting.held) return text.code('waiting', 'queuedBehindHeld', plain(text, waiting));
  return text.code('waiting', waiting.code, plain(text, waiting));
}

export function reasonText(text: Text, reason: NonNullable<Task['reason']>): string {
  return text.code('reason', reason.code, plain(text, reason));
}

type Piece = NonNullable<Terms['waves']>[number];

const pieceText = ({ n }: Text, piece: Piece) =>
  piece.kind === 'group' ? `group:${piece.group}` : piece.kind === 'percent' ? `${n(piece.percent)} %` : n(piece.n);

/** When devices are told of a job, as `Mon Tue 22:00–04:00`. */
export function windowText({ t }: Text, { days, from, to }: NonNullable<Terms['windows']>[number]): string {
  const names = (days ?? []).map((day) => t(`day.${day}` as 'day.mon')).join(' ');
  return `${names || t('everyDay')} ${from}–${to}`;
}

/** One of the terms of a job. */
export function termText(text: Text, key: string, value: NonNullable<Terms[keyof Terms]>): string {
  const { t, n, code, language } = text;
  if (typeof value === 'boolean') return t(value ? 'yes' : 'no');
  if (typeof value === 'number') return n(value);
  if (typeof value === 'string') return key === 'overwrite' ? code(key, value) : timeText(language, value);
  if (!Array.isArray(value)) return 'kind' in value ? pieceText(text, value) : t('terms.evidence.value', { ...value });
  return (value as (string | Piece | NonNullable<Terms['windows']>[number] | { key: string; value: string })[])
    .map((one) => {
      if (typeof one === 'string') return one;
      if ('kind' in one) return pieceText(text, one);
      return 'from' in one ? windowText(text, one) : `${one.key}=${one.value}`;
    })
    .join(', ');
}

/** What can be changed of a job, by name. */
export const fieldText = ({ t, code }: Text, field: string) => (field === 'scope' ? t('scope') : code('terms', field));

/** Some of what happens is said otherwise for one of its values. */
function wordOf(code: string, params: Record<string, unknown>): string {
  if (code === 'deviceConnected' && params['first']) return 'deviceConnected.first';
  if (code === 'waveOpened' && params['skipped']) return 'waveOpened.skipped';
  return code;
}

/** What happened, in one sentence. */
export function eventText(text: Text, event: Event): string {
  const { params, code } = event as { params: Record<string, unknown>; code: string };
  const values = plain(text, params);
  const reason = params['reason'] as NonNullable<Task['reason']> | undefined;
  if (reason) values['reason'] = reasonText(text, reason);
  for (const state of ['from', 'to', 'state'] as const) {
    const value = params[state];
    if (typeof value === 'string') values[state] = text.code(code.startsWith('task') ? 'taskState' : code.startsWith('job') ? 'jobState' : 'packageState', value);
  }
  const hold = params['hold'] as { kind: string; halt?: Halt } | undefined;
  if (hold) values['why'] = hold.halt ? haltText(text, hold.halt) : text.t('hold.paused');
  if (Array.isArray(params['fields'])) values['fields'] = (params['fields'] as string[]).map((field) => fieldText(text, field)).join(', ');
  const told = text.code('event', wordOf(code, params), values);
  return reason ? `${told}: ${values['reason']}` : told;
}
