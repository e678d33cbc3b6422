/** What is said of a thing, by name, without what lies within. */
export type Fields = Record<string, unknown>;

/** Nothing typed is nothing said. */
const said = (value: unknown) => (value === undefined || value === '' ? null : value);

/** What the operator changed, and what that was before: another's change of something else is not undone by it. */
export function changed(before: Fields, wanted: Fields): { change: Fields; expected: Fields } {
  const names = new Set([...Object.keys(before), ...Object.keys(wanted)]);
  const change: Fields = {};
  const expected: Fields = {};
  for (const name of names) {
    if (said(before[name]) === said(wanted[name])) continue;
    change[name] = said(wanted[name]);
    expected[name] = before[name] ?? null;
  }
  return { change, expected };
}

/** A field that two operators changed at once. */
export interface Conflict {
  name: string;
  mine: unknown;
  theirs: unknown;
}

export type Choice = 'mine' | 'theirs';

/** The conflicts that the platform tells of, by the names the change has. */
export function conflictsOf(now: Fields, change: Fields): Conflict[] {
  // Of what lies within something else the platform tells the whole way there; tags may have dots themselves.
  const told = new Map(Object.entries(now).map(([path, value]) => [path.replace(/^(terms|tags)\./, ''), value]));
  return Object.keys(change)
    .filter((name) => told.has(name))
    .map((name) => ({ name, mine: change[name], theirs: told.get(name) }));
}

/** What is still to be sent once the operator has chosen: theirs stay, mine are written over what is known of theirs. */
export function settled(
  { change, expected }: { change: Fields; expected: Fields },
  conflicts: readonly Conflict[],
  choices: Record<string, Choice>,
): { change: Fields; expected: Fields } {
  const left = { change: { ...change }, expected: { ...expected } };
  for (const { name, theirs } of conflicts) {
    if (choices[name] === 'mine') {
      left.expected[name] = theirs ?? null;
    } else {
      delete left.change[name];
      delete left.expected[name];
    }
  }
  return left;
}
