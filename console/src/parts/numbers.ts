import type { UpgradeStatistics } from '../api/types';
import type { Text } from '../texts';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Bytes for people. */
export function bytes(count: number): string {
  const power = Math.min(Math.floor(Math.log2(Math.max(count, 1)) / 10), UNITS.length - 1);
  const value = count / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${UNITS[power]}`;
}

/** Seconds for people: the two largest units. */
export function span(seconds: number, t: Text['t']): string {
  const parts = [
    [Math.floor(seconds / 86_400), 'unit.day'],
    [Math.floor(seconds / 3_600) % 24, 'unit.hour'],
    [Math.floor(seconds / 60) % 60, 'unit.minute'],
    [Math.round(seconds % 60), 'unit.second'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return t('unit.second', { count: 0 });
  return parts.slice(first, first + 2).filter(([count]) => count > 0).map(([count, unit]) => t(unit, { count })).join(' ');
}

/** Points with those between them in which nothing ended, so that time runs evenly. */
export function filledIn(points: UpgradeStatistics['points'], stepMinutes: number) {
  const known = new Map(points.map(({ at, ...ended }) => [Date.parse(at), ended]));
  const [first, last] = [Date.parse(points[0]!.at), Date.parse(points.at(-1)!.at)];
  const step = stepMinutes * 60_000;
  return Array.from({ length: (last - first) / step + 1 }, (_, place) => {
    const at = first + place * step;
    return { at: new Date(at).toISOString(), ...(known.get(at) ?? { succeeded: 0, failed: 0, canceled: 0 }) };
  });
}
