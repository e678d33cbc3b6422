import type { Task } from '../api/types';

/** Example devices named beside a reason. */
export const EXAMPLES = 3;

/** The names of the first devices for each reason; what has none is left out. */
export function examplesOf<T extends { deviceName: string }>(tasks: readonly T[], reasonOf: (task: T) => string | null | undefined): Record<string, string[]> {
  const examples: Record<string, string[]> = {};
  for (const task of tasks) {
    const reason = reasonOf(task);
    if (!reason) continue;
    const names = (examples[reason] ??= []);
    if (names.length < EXAMPLES) names.push(task.deviceName);
  }
  return examples;
}

/** What devices said, the most frequent first, with some that said so. */
export interface Said {
  step: number;
  desc: string;
  count: number;
  names: string[];
}

/** The words of the devices whose tasks failed by them. */
export function saidBy(tasks: readonly Pick<Task, 'deviceName' | 'reason'>[]): Said[] {
  const found = new Map<string, Said>();
  for (const { deviceName, reason } of tasks) {
    if (reason?.code !== 'deviceFailed') continue;
    const key = `${reason.step} ${reason.desc}`;
    const said = found.get(key) ?? { step: reason.step, desc: reason.desc, count: 0, names: [] };
    said.count += 1;
    if (said.names.length < EXAMPLES) said.names.push(deviceName);
    found.set(key, said);
  }
  return [...found.values()].sort((a, b) => b.count - a.count);
}
