import { expect, test, vi } from 'vitest';

import type { Device } from '../api/types';
import { factsTable, secretsTable, tagsTable } from './device-tables';

interface Wanted {
  params: { query: { deviceNames: string } };
}

const asked: string[] = [];

vi.mock('../api/client', () => ({ ask: (answer: unknown) => answer, api: { GET: (_: string, wanted: Wanted) => answer(wanted) } }));

async function answer({ params }: Wanted) {
  const names = params.query.deviceNames.split(',');
  asked.push(names.join());
  return { items: names.map((deviceName) => ({ deviceName, deviceSecret: `of ${deviceName}` })) };
}

const device = (deviceName: string, tags: Device['tags']) => ({ deviceName, tags, enabled: true, online: false, versions: [{ module: 'default', version: '1.0.0' }] }) as unknown as Device;

test('tables of devices have a column for each tag, and tags go back in as they were', () => {
  const devices = [device('lamp-1', { ring: '-1', city: '北京' }), device('lamp-2', { note: 'a,b' })];
  expect(factsTable(devices)).toBe(
    "deviceName,enabled,online,versions,lastOnlineAt,tag.city,tag.note,tag.ring\r\nlamp-1,true,false,default=1.0.0,,北京,,'-1\r\nlamp-2,true,false,default=1.0.0,,,\"a,b\",\r\n",
  );
  expect(tagsTable(devices)).toBe('deviceName,city,note,ring\r\nlamp-1,北京,,-1\r\nlamp-2,,"a,b",\r\n');
});

test('secrets are asked for a hundred at a time', async () => {
  const names = Array.from({ length: 450 }, (_, at) => `lamp-${at}`);
  const lines = (await secretsTable('a1', names)).trimEnd().split('\r\n');
  expect(lines).toHaveLength(451);
  expect(lines.slice(0, 2)).toEqual(['deviceName,deviceSecret', 'lamp-0,of lamp-0']);
  expect(asked).toHaveLength(5);
});
