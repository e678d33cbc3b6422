import { expect, test } from 'vitest';

import { FLEET, touched, waitAfter } from './touched';

const event = { seq: 1, at: '', params: {} };

test('what an event is about is asked for again', () => {
  const task = { ...event, code: 'taskState', productKey: 'pk', deviceName: 'dn', jobId: 'job_1', taskId: 'tsk_1' };
  expect(touched(task)).toEqual([['device', 'pk', 'dn'], ['jobs'], ['job', 'job_1']]);
  expect(touched({ ...event, code: 'deviceConnected', productKey: 'pk', deviceName: 'dn' })).toEqual([['devices', 'pk'], FLEET, ['device', 'pk', 'dn']]);
  expect(touched({ ...event, code: 'versionChanged', productKey: 'pk', deviceName: 'dn' })).toContainEqual(['versions', 'pk']);
  expect(touched({ ...event, code: 'groupJoined', productKey: 'pk', deviceName: 'dn' })).toContainEqual(['devices', 'pk']);
  expect(touched({ ...event, code: 'packageState', productKey: 'pk' })).toContainEqual(['packages']);
  expect(touched({ ...event, code: 'productRemoved' })).toContainEqual(['products']);
});

test('who sees many events a second is shown them less often', () => {
  expect(waitAfter(1)).toBeLessThan(2_000);
  expect(waitAfter(200)).toBeGreaterThan(4 * waitAfter(1));
});
