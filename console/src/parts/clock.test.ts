import { expect, test } from 'vitest';

import { clockOf, momentOf } from './clock';

test('what the clock shows is the moment, to the minute', () => {
  expect([clockOf(undefined), momentOf(''), momentOf(undefined)]).toEqual(['', null, null]);
  // In summer and in winter, whatever the zone of who tests.
  for (const moment of ['2026-01-15T23:59:00.000Z', '2026-07-15T00:00:00.000Z']) expect(momentOf(clockOf(moment))).toBe(moment);
  expect(momentOf(clockOf('2026-07-15T12:34:56.789Z'))).toBe('2026-07-15T12:34:00.000Z');
});
