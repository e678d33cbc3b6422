import { expect, test } from 'vitest';

import { deviceList } from './names';

test('names are read however they are typed, a CSV file as it is', () => {
  expect(deviceList(' lamp-1, lamp-2\n\nlamp-3，lamp-4 ')).toEqual({ deviceNames: ['lamp-1', 'lamp-2', 'lamp-3', 'lamp-4'] });
  const csv = '\uFEFFregion, DeviceName\r\neu,lamp-1\r\n';
  expect(deviceList(csv)).toEqual({ csv });
});
