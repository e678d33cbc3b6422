import { expect, test } from 'vitest';

import { byLine, deviceList } from './names';

test('names are read however they are typed, a CSV file as it is', () => {
  expect(deviceList(' lamp-1, lamp-2\n\nlamp-3，lamp-4；lamp-5、lamp-6 ')).toEqual({
    deviceNames: ['lamp-1', 'lamp-2', 'lamp-3', 'lamp-4', 'lamp-5', 'lamp-6'],
  });
  const csv = '\uFEFFregion, DeviceName\r\neu,lamp-1\r\n';
  expect(deviceList(csv)).toEqual({ csv });
});

test('what is refused stands by its line in the text', () => {
  const refused = [{ line: 3 }, { line: 4 }];
  expect(byLine('lamp-1, lamp-2\nnobody\n\nnobody else', refused)).toEqual([{ line: 2 }, { line: 4 }]);
  expect(byLine('deviceName\nlamp-1\nnobody\nnobody else', refused)).toEqual(refused);
});
