import { expect, test } from 'vitest';

import { csv, decoded, plainCsv } from './csv';

test('fields keep their commas, quotation marks and lines', () => {
  expect(csv([['a', 'b,c', 'say "x"', 'two\nlines', '路灯']])).toBe('a,"b,c","say ""x""","two\nlines",路灯\r\n');
});

test('a spreadsheet takes nothing for a formula', () => {
  expect(csv([['=1+1', '+1', '-1', '@x', '1-1']])).toBe("'=1+1,'+1,'-1,'@x,1-1\r\n");
});

test('what goes back into a program is as it was', () => {
  expect(plainCsv([['=1', 'a,b']])).toBe('=1,"a,b"\r\n');
});

test('a file is read as UTF-8, with or without a mark, or as spreadsheets in China write it', () => {
  const utf8 = new TextEncoder().encode('\uFEFFcity,北京');
  expect(decoded(utf8)).toBe('city,北京');
  expect(decoded(new TextEncoder().encode('city,北京'))).toBe('city,北京');
  expect(decoded(new Uint8Array([0x63, 0x2c, 0xb1, 0xb1, 0xbe, 0xa9]))).toBe('c,北京');
});
