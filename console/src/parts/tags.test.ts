import { expect, test } from 'vitest';

import { tagsOf } from './tags';

test('tags are read as they are written', () => {
  expect(tagsOf(['region=eu', 'note = a=b', 'region = us', 'empty'])).toEqual({ region: 'us', note: 'a=b', empty: '' });
});
