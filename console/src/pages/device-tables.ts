import { api, ask } from '../api/client';
import { csv, plainCsv } from '../api/csv';
import type { Device } from '../api/types';

/** The names of all tags that these devices have. */
const tagNames = (devices: readonly Device[]) => [...new Set(devices.flatMap(({ tags }) => Object.keys(tags)))].sort();

/** What is known of devices, with a column for each tag. */
export function factsTable(devices: readonly Device[]): string {
  const names = tagNames(devices);
  const rows = devices.map((device) => [
    device.deviceName,
    String(device.enabled),
    String(device.online),
    device.versions.map(({ module, version }) => `${module}=${version}`).join(' '),
    device.lastOnlineAt ?? '',
    ...names.map((name) => device.tags[name] ?? ''),
  ]);
  return csv([['deviceName', 'enabled', 'online', 'versions', 'lastOnlineAt', ...names.map((name) => `tag.${name}`)], ...rows]);
}

/** The tags of devices, in the form in which they are changed. */
export function tagsTable(devices: readonly Device[]): string {
  const names = tagNames(devices);
  return plainCsv([['deviceName', ...names], ...devices.map(({ deviceName, tags }) => [deviceName, ...names.map((name) => tags[name] ?? '')])]);
}

/** Names that are asked about at once. */
const AT_ONCE = 100;

/** The secrets of devices, in the form in which they are imported. */
export async function secretsTable(productKey: string, names: readonly string[]): Promise<string> {
  const rows: string[][] = [];
  for (let at = 0; at < names.length; at += AT_ONCE) {
    const deviceNames = names.slice(at, at + AT_ONCE).join(',');
    const { items } = await ask(
      api.GET('/api/v1/products/{productKey}/device-secrets', { params: { path: { productKey }, query: { deviceNames } } }),
    );
    rows.push(...items.map(({ deviceName, deviceSecret }) => [deviceName, deviceSecret]));
  }
  return plainCsv([['deviceName', 'deviceSecret'], ...rows]);
}
