import { expect, test } from 'vitest';

import type { Text } from '../texts';
import { en } from '../texts/en';
import { fill, writingOf } from '../texts/fill';
import { zh } from '../texts/zh-CN';
import { bytes, filledIn, span } from './numbers';

const t =
  (texts: Record<string, string>): Text['t'] =>
  (key, values) =>
    fill(writingOf('en'), texts[key]!, values);

test('bytes and seconds for people', () => {
  expect([0, 1, 1023, 1024, 1536, 10_485_760].map(bytes)).toEqual(['0 B', '1 B', '1023 B', '1.00 KiB', '1.50 KiB', '10.0 MiB']);
  expect([0, 59, 60, 3_660, 90_000].map((seconds) => span(seconds, t(en)))).toEqual(['0 s', '59 s', '1 min', '1 h 1 min', '1 d 1 h']);
  expect([68, 97_200].map((seconds) => span(seconds, t(zh)))).toEqual(['1 分钟 8 秒', '1 天 3 小时']);
});

test('time runs evenly, also where nothing ended', () => {
  const point = (at: string, failed: number) => ({ at, succeeded: 1, failed, canceled: 0 });
  const points = filledIn([point('2026-11-26T10:00:00.000Z', 0), point('2026-11-26T10:30:00.000Z', 2)], 10);
  expect(points.map(({ at }) => at.slice(11, 16))).toEqual(['10:00', '10:10', '10:20', '10:30']);
  expect(points.map(({ failed }) => failed)).toEqual([0, 0, 0, 2]);
});
