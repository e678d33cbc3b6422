import type { Task } from '../api/types';

/** Example devices named beside a reason. */
export const EXAMPLES = 3;

interface Group<T> {
  first: T;
  count: number;
  /** Of the first few. */
  names: string[];
}

/** Tasks by what is said of them; those of which nothing is are left out. */
function grouped<T extends { deviceName: string }>(tasks: readonly T[], saidOf: (task: T) => string | null | undefined): Map<string, Group<T>> {
  const groups = new Map<string, Group<T>>();
  for (const task of tasks) {
    const said = saidOf(task);
    if (!said) continue;
    const group = groups.get(said) ?? { first: task, count: 0, names: [] };
    group.count += 1;
    if (group.names.length < EXAMPLES) group.names.push(task.deviceName);
    groups.set(said, group);
  }
  return groups;
}

/** The names of the first devices for each reason; what has none is left out. */
export function examplesOf<T extends { deviceName: string }>(tasks: readonly T[], reasonOf: (task: T) => string | null | undefined): Record<string, string[]> {
  return Object.fromEntries([...grouped(tasks, reasonOf)].map(([reason, { names }]) => [reason, names]));
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
  const failed = tasks.flatMap(({ deviceName, reason }) => (reason?.code === 'deviceFailed' ? [{ deviceName, step: reason.step, desc: reason.desc }] : []));
  const groups = grouped(failed, ({ step, desc }) => `${step} ${desc}`);
  return [...groups.values()].map(({ first: { step, desc }, count, names }) => ({ step, desc, count, names })).sort((a, b) => b.count - a.count);
}
