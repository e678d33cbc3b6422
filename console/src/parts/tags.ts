/** Whether a text is a tag as `name=value`, with something on both sides. */
export const isTag = (written: string) => /^[^=]*[^=\s][^=]*=.*\S/.test(written);

/** Tags that are written as `name=value`; of a name written twice the last is meant. */
export function tagsOf(written: readonly string[]): Record<string, string> {
  const tags = written.map((tag): [string, string] => {
    const [name = '', ...value] = tag.split('=');
    return [name.trim(), value.join('=').trim()];
  });
  return Object.fromEntries(tags);
}
