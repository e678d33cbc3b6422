import { expect, test } from 'vitest';

import { en } from '../texts/en';
import { isWanted, merged, SUBJECTS } from './history';
import type { Event } from './types';

const event = (seq: number, of: Partial<Event> = {}) => ({ seq, at: '2026-11-22T10:00:00.000Z', code: 'deviceConnected', params: {}, ...of }) as Event;
const numbers = (events: Event[]) => events.map(({ seq }) => seq);

test('an event that was told twice is shown once', () => {
  expect(numbers(merged([event(5), event(4)], [event(4), event(2)]))).toEqual([5, 4, 2]);
  expect(numbers(merged([event(5)], []))).toEqual([5]);
  expect(numbers(merged([], [event(1)]))).toEqual([1]);
});

test('an event is wanted if all that is asked for fits', () => {
  const one = event(1, { productKey: 'a1', deviceName: 'lamp' });
  expect(isWanted(one, {})).toBe(true);
  expect(isWanted(one, { productKey: 'a1', deviceName: undefined })).toBe(true);
  expect(isWanted(one, { productKey: 'a1', deviceName: 'other' })).toBe(false);
  expect(isWanted(one, { jobId: 'job_1' })).toBe(false);
});

test('whatever happens is about one thing', () => {
  const codes = Object.keys(en).flatMap((key) => (/^event\.(\w+)$/.exec(key) ?? []).slice(1));
  expect(codes).toContain('waveOpened');
  for (const code of codes) {
    const about = SUBJECTS.filter((about) => isWanted({ code } as Event, { about }));
    expect(about, code).toHaveLength(1);
  }
});
