import { expect, test } from 'vitest';

import { isTag, tagsOf } from './tags';

test('tags are read as they are written', () => {
  expect(tagsOf(['region=eu', 'note = a=b', 'region = us', 'empty='])).toEqual({ region: 'us', note: 'a=b', empty: '' });
});

test('what is no tag is known as such', () => {
  expect(['region=eu', 'note = a=b', '地区=欧洲'].map(isTag)).toEqual([true, true, true]);
  expect(['region', 'region=', ' = eu', '=eu', 'region= ', ''].map(isTag)).toEqual([false, false, false, false, false, false]);
});
