import { expect, test } from 'vitest';

import { clockOf, momentOf, timeText, zoneText } from './clock';

test('what the clock shows is the moment, to the minute', () => {
  expect([clockOf(undefined), momentOf(''), momentOf(undefined)]).toEqual(['', null, null]);
  // In summer and in winter, whatever the zone of who tests.
  for (const moment of ['2026-01-15T23:59:00.000Z', '2026-07-15T00:00:00.000Z']) expect(momentOf(clockOf(moment))).toBe(moment);
  expect(momentOf(clockOf('2026-07-15T12:34:56.789Z'))).toBe('2026-07-15T12:34:00.000Z');
});

test('a moment is told with its zone, however it was typed', () => {
  for (const language of ['en', 'zh-CN']) {
    const zone = zoneText(language);
    expect(zone).not.toBe('');
    expect(timeText(language, '2026-07-15T12:34:56Z')).toContain('34:56');
    expect(timeText(language, new Date().toISOString())).toContain(zone);
    expect(timeText(language, clockOf('2026-07-15T12:34:00.000Z'))).toBe(timeText(language, '2026-07-15T12:34:00Z'));
  }
});
