import { expect, test } from 'vitest';

import { tagChange } from './tags';

test('only what changed of the tags is changed', () => {
  const now = { region: 'eu', ring: 'canary' };
  expect(tagChange(now, ['region=eu', 'ring=canary'])).toEqual({});
  expect(tagChange(now, ['region=us', 'note = a=b'])).toEqual({ region: 'us', ring: null, note: 'a=b' });
});
