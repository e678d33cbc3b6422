/** Devices to add or take out: named, or by a CSV text as it is. */
export type DeviceList = { deviceNames: string[] } | { csv: string } | { filter: string };

/** What may stand between two names. */
export const SEPARATOR = /[\s,，、;；]+/;

/** The names of a text, each with its line. */
export const namesIn = (text: string): { name: string; line: number }[] =>
  text.split(/\r?\n/).flatMap((written, at) =>
    written
      .split(SEPARATOR)
      .filter(Boolean)
      .map((name) => ({ name, line: at + 1 })),
  );

/** Reads what was typed: a CSV text has a head that names the column `deviceName`; all else are names. */
export function deviceList(text: string): DeviceList {
  const [head = ''] = text.replace(/^\uFEFF/, '').trimStart().split(/\r?\n/);
  if (head.split(',').some((cell) => cell.trim().toLowerCase() === 'devicename')) return { csv: text };
  return { deviceNames: namesIn(text).map(({ name }) => name) };
}

/** What was refused of such a text, by its lines; of names the platform tells the place in the list. */
export function byLine<T extends { line: number }>(text: string, refused: T[]): T[] {
  if ('csv' in deviceList(text)) return refused;
  const names = namesIn(text);
  return refused.map((one) => ({ ...one, line: names[one.line - 1]?.line ?? one.line }));
}
