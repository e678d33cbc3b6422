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
