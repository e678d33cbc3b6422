import { expect, test } from 'vitest';

import { csv } from './csv';

test('fields keep their commas, quotation marks and lines', () => {
  expect(csv([['a', 'b,c', 'say "x"', 'two\nlines', '路灯']])).toBe('a,"b,c","say ""x""","two\nlines",路灯\r\n');
});

test('a spreadsheet takes nothing for a formula', () => {
  expect(csv([['=1+1', '+1', '-1', '@x', '1-1']])).toBe("'=1+1,'+1,'-1,'@x,1-1\r\n");
});
