/** Devices to add or take out: named, or by a CSV text as it is. */
export type DeviceList = { deviceNames: string[] } | { csv: string } | { filter: string };

/** Reads what was typed: a CSV text has a head that names the column `deviceName`; all else are names. */
export function deviceList(text: string): DeviceList {
  const [head = ''] = text.replace(/^\uFEFF/, '').trimStart().split(/\r?\n/);
  if (head.split(',').some((cell) => cell.trim().toLowerCase() === 'devicename')) return { csv: text };
  return { deviceNames: text.split(/[\s,，;]+/).filter(Boolean) };
}
