import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { en, type TextKey } from './en';
import { zh } from './zh-CN';

const places = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
const keys = Object.keys(en) as TextKey[];

test('both languages say the same values', () => {
  for (const key of keys) expect(places(zh[key]), key).toEqual(places(en[key]));
});

test('texts stand in order, so that one finds them', () => {
  for (const texts of [en, zh]) expect(Object.keys(texts)).toEqual(keys);
});

interface Schema {
  enum?: string[];
  oneOf?: { properties: { code: { enum: string[] } } }[];
}

test('every code of the platform has a text', () => {
  const document = JSON.parse(readFileSync('../docs/openapi.json', 'utf8')) as { components: { schemas: Record<string, Schema> } };
  const { schemas } = document.components;
  const states = [['taskState', 'TaskState'], ['jobState', 'JobState'], ['packageState', 'PackageState'], ['jobKind', 'JobKind']] as const;
  for (const [kind, name] of states) {
    for (const code of schemas[name]!.enum!) expect(en).toHaveProperty([`${kind}.${code}`]);
  }
  for (const [kind, name] of [['reason', 'Reason'], ['reasonKind', 'Reason'], ['waiting', 'Waiting'], ['halt', 'Halt']] as const) {
    for (const { properties } of schemas[name]!.oneOf!) expect(en).toHaveProperty([`${kind}.${properties.code.enum[0]}`]);
  }
});
