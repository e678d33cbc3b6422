/** What to change so that a device has the tags that are wanted, each as `name=value`; null removes one. */
export function tagChange(now: Record<string, string>, wanted: readonly string[]): Record<string, string | null> {
  const change: Record<string, string | null> = {};
  for (const name of Object.keys(now)) change[name] = null;
  for (const tag of wanted) {
    const [name = '', ...value] = tag.split('=');
    change[name.trim()] = value.join('=').trim();
  }
  for (const [name, value] of Object.entries(now)) if (change[name] === value) delete change[name];
  return change;
}
