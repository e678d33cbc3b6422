import type { Event, TaskState } from './types';

/** States in which a task stays unless it is started again. */
export const ENDED: readonly TaskState[] = ['SUCCEEDED', 'FAILED', 'CANCELED'];

/** The products with the numbers of their devices. */
export const FLEET = ['products', 'fleet'] as const;

/** The queries whose answers an event may have changed. */
export function touched(event: Event): (readonly string[])[] {
  const { code, productKey, deviceName, jobId } = event;
  const keys: (readonly string[])[] = [];
  if (productKey) keys.push(...ofProduct(code, productKey));
  if (productKey && deviceName) keys.push(['device', productKey, deviceName]);
  if (jobId) keys.push(['jobs'], ['job', jobId]);
  if (code === 'taskState' && ENDED.includes(event.params['to'] as TaskState)) keys.push(['upgrades']);
  if (code.startsWith('product')) keys.push(['products']);
  return keys;
}

function ofProduct(code: string, product: string): (readonly string[])[] {
  if (code.startsWith('package')) return [['packages']];
  if (code.startsWith('module')) return [['modules', product]];
  if (code.startsWith('group')) return [['groups', product], ['devices', product]];
  if (code.startsWith('configuration')) return [['configuration', product]];
  if (code.startsWith('device') || code.startsWith('identity')) return [['devices', product], FLEET];
  if (code === 'versionChanged') return [['devices', product], ['versions', product]];
  return [];
}

/**
 * Milliseconds from an event to the pages that ask for what it touched, once for all that comes meanwhile: longer while
 * so many events come a second that nobody can follow them anyway.
 */
export function waitAfter(eventsPerSecond: number): number {
  return eventsPerSecond > 50 ? 8_000 : 1_500;
}
