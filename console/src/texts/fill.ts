export type Values = Record<string, string | number>;

/** How a language writes numbers. */
export interface Writing {
  n: (number: number) => string;
  /** Whether a number of things is one thing. */
  isOne: (number: number) => boolean;
}

export function writingOf(language: string): Writing {
  const format = new Intl.NumberFormat(language);
  const plural = new Intl.PluralRules(language);
  return { n: (number) => format.format(number), isOne: (number) => plural.select(number) === 'one' };
}

/** Fills `{name}` in a text, and `{name|device|devices}` by the number; what is not given stays as it is written. */
export function fill({ n, isOne }: Writing, text: string, values: Values = {}): string {
  return text.replace(/\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g, (whole, name: string, one?: string, other?: string) => {
    const value = values[name];
    if (other !== undefined) return isOne(Number(value)) ? one! : other;
    return value === undefined ? whole : typeof value === 'number' ? n(value) : value;
  });
}
