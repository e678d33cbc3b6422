import { expect, test } from 'vitest';

import type { Text } from '../texts';
import { en } from '../texts/en';
import { eventText, termText } from './words';

const text: Text = {
  language: 'en',
  t: (key, values = {}) => en[key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name])),
  code: (kind, code) => en[`${kind}.${code}` as 'overwrite.keep'],
  n: String,
};

test('the terms of a job are told in words', () => {
  for (const [key, value, told] of [
    ['rollbackFails', true, 'yes'],
    ['attempts', 3, '3'],
    ['overwrite', 'queue', 'The new task waits for the older one'],
    ['waves', [{ kind: 'group', group: 'canary' }, { kind: 'percent', percent: 10 }, { kind: 'count', n: 500 }], 'group:canary, 10 %, 500'],
    ['minSuccess', { kind: 'percent', percent: 90 }, '90 %'],
    ['windows', [{ days: ['mon', 'tue'], from: '22:00', to: '04:00' }, { from: '12:00', to: '13:00' }], 'Mon Tue 22:00–04:00, every day 12:00–13:00'],
    ['srcVersions', ['1.0.0', '1.1.0'], '1.0.0, 1.1.0'],
    ['tags', [{ key: 'ring', value: 'beta' }], 'ring=beta'],
    ['evidence', { acceptedPercent: 1, rejectedPercent: 10 }, '1 % may fail, 10 % may not'],
  ] as const) {
    expect(termText(text, key, value as never), key).toBe(told);
  }
});

test('what happened is told in words, and no name of a field or value of a program is', () => {
  const told = (code: string, params: object) => eventText({ ...text, code: filled }, { code, params } as never);
  expect(told('waveOpened', { wave: 2 })).toBe('Wave 2 is open');
  expect(told('jobChanged', { fields: ['scope', 'endAt', 'ratePerMinute'] })).toBe('The job was changed: Scope, Ends at, Most pushes a minute');
  expect(told('deviceEnabled', { enabled: false })).toBe('The device may connect: no');
});

const filled: Text['code'] = (kind, code, values = {}) => text.t(`${kind}.${code}` as 'waves', values);
