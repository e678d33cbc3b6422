import { expect, test } from 'vitest';

import { bytes, span } from './numbers';

test('bytes and seconds for people', () => {
  expect([0, 1, 1023, 1024, 1536, 10_485_760].map(bytes)).toEqual(['0 B', '1 B', '1023 B', '1.00 KiB', '1.50 KiB', '10.0 MiB']);
  expect([0, 59, 60, 3_660, 90_000].map(span)).toEqual(['0 s', '59 s', '1 min', '1 h 1 min', '1 d 1 h']);
});
