import { expect, test } from 'vitest';

import { secondsLeft } from './pace';

const counts = { confirm: 0, queued: 10, notified: 3, inProgress: 2, succeeded: 4, failed: 1, canceled: 0 };
const job = { state: 'IN_PROGRESS' as const, hold: null, counts, createdAt: '2026-11-26T10:00:00Z', terms: {} };
const now = Date.parse('2026-11-26T10:01:00Z');

test('time left is by the pace so far', () => {
  expect(secondsLeft(job, now)).toBe(180);
  expect(secondsLeft({ ...job, terms: { startAt: '2026-11-26T10:00:30Z' } }, now)).toBe(90);
});

test('nothing is foretold of what has not begun, stands or is over', () => {
  expect(secondsLeft({ ...job, counts: { ...counts, succeeded: 0, failed: 0 } }, now)).toBeNull();
  expect(secondsLeft({ ...job, hold: { kind: 'paused' } }, now)).toBeNull();
  expect(secondsLeft({ ...job, state: 'COMPLETED' }, now)).toBeNull();
});
