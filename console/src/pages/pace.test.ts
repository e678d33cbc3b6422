import { expect, test } from 'vitest';

import { nextWaveAt, secondsLeft, troubled } from './pace';

const counts = { confirm: 0, queued: 10, notified: 3, inProgress: 2, succeeded: 4, failed: 1, canceled: 0 };
const job = { state: 'IN_PROGRESS' as const, hold: null, counts, createdAt: '2026-11-26T10:00:00Z', terms: {} };
const now = Date.parse('2026-11-26T10:01:00Z');
const wave = { total: 10, succeeded: 4, untold: 0, failed: 1, retrying: 0, lost: 0, skipped: false };
const progress = { wave: 1, openedAt: '2026-11-26T10:00:00Z', offered: 5, failures: 1, waves: [wave] };

test('time left is by the pace so far', () => {
  expect(secondsLeft(job, now)).toBe(180);
  expect(secondsLeft({ ...job, terms: { startAt: '2026-11-26T10:00:30Z' } }, now)).toBe(90);
});

test('nothing is foretold of what has not begun, stands or is over', () => {
  expect(secondsLeft({ ...job, counts: { ...counts, succeeded: 0, failed: 0 } }, now)).toBeNull();
  expect(secondsLeft({ ...job, hold: { kind: 'paused' } }, now)).toBeNull();
  expect(secondsLeft({ ...job, state: 'COMPLETED' }, now)).toBeNull();
});

test('nothing is foretold of the last few, of those in trouble, or before the last wave', () => {
  expect(secondsLeft({ ...job, counts: { ...counts, succeeded: 900 } }, now)).toBeNull();
  expect(secondsLeft({ ...job, progress: { ...progress, waves: [{ ...wave, retrying: 10, lost: 5 }] } }, now)).toBeNull();
  expect(secondsLeft({ ...job, progress: { ...progress, waves: [wave, wave] } }, now)).toBeNull();
  expect(troubled({ progress: { ...progress, waves: [{ ...wave, retrying: 1 }, { ...wave, lost: 2 }] } })).toEqual({ retrying: 1, lost: 2 });
});

test('the next wave opens when the open one has rested', () => {
  const rests = { ...job, terms: { soakMinutes: 60 }, progress: { ...progress, enoughAt: '2026-11-26T10:05:00Z', waves: [wave, wave] } };
  expect(nextWaveAt(rests)).toBe(Date.parse('2026-11-26T11:05:00Z'));
  expect(nextWaveAt({ ...rests, hold: { kind: 'paused' } })).toBeNull();
  expect(nextWaveAt({ ...rests, progress: { ...progress, waves: [wave, wave] } })).toBeNull();
  expect(nextWaveAt({ ...rests, progress: { ...rests.progress, wave: 2 } })).toBeNull();
});
