import { readdirSync, readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { fieldText } from '../parts/words';
import type { Text } from '.';
import { en, type TextKey } from './en';
import { counted } from './metrics-zh-CN';
import { problems, warnings } from './problems-zh-CN';
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

/** The sources of the platform that tell of refusals. */
const sources = ['../crates/server/src', '../crates/api/src'].flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.rs'))
    .map((name) => readFileSync(`${folder}/${name}`, 'utf8')),
);

/** What only programs can do wrong, and no page does. */
const UNMET = [
  ...['badCursor', 'badEventId', 'badIdempotencyKey', 'badLimit', 'badPath', 'badQuery', 'brokenBody', 'configurationNotFound'],
  ...['filtersExclusive', 'foreignOrigin', 'membersContradict', 'methodNotAllowed', 'noSuchPath', 'noUploadOffset', 'notADeviceList'],
  ...['notAFile', 'notJson', 'nulInAddress', 'pushUnaddressed', 'sha256Invalid', 'timeInvalid', 'uploadAndBody'],
];

test('what an operator is refused is told in Chinese too', () => {
  const ways = [
    /(?:OrderError|Problem)::(?:not_found|gone|invalid|conflict|unprocessable|bad_request|new)\(\s*(?:[\w:]+,\s*)?"(\w+)"/g,
    /(?:order_job|order_in)\([^"]+"(\w+)"/g,
    /unauthorized\(\s*"(\w+)"/g,
    /ErrorKind::\w+, "(\w+)"/g,
    /Unready::\w+(?:\(_\)| \{ \.\. \})? => "(\w+)"/g,
  ];
  const found = new Set(sources.flatMap((source) => ways.flatMap((way) => [...source.matchAll(way)].map(([, code]) => code!))));
  for (const code of ['notUp', 'deviceNotFound', 'noWaveToOpen', 'wrongToken', 'databaseUnavailable', 'reportsStuck']) {
    expect(found, 'the ways of refusing').toContain(code);
  }
  const known = Object.keys(problems).map((code) => code.replace(/\.several$/, ''));
  // Chosen by what there is, so that no pattern finds them.
  const chosen = ['fieldFixed', 'filterNamesFilter', 'jobOver', 'packageNotVerifiable', 'packageNotVerified'];
  for (const code of [...found, ...chosen]) expect([...known, ...UNMET], code).toContain(code);
  for (const code of [...known, ...UNMET]) expect(sources.some((source) => source.includes(`"${code}"`)), code).toBe(true);
  for (const code of UNMET) expect(problems).not.toHaveProperty([code]);
});

test('what is hardly meant is told in Chinese too', () => {
  const codes = sources.flatMap((source) => [...source.matchAll(/Self::\w+\(_\) => "(publicUrl\w+)"/g)].map(([, code]) => code!));
  expect(Object.keys(warnings)).toEqual(codes);
});

/** The words of an enum in the sources of the platform, as they are written in JSON. */
function wordsOf(path: string, name: string): string[] {
  const [, body = ''] = new RegExp(`pub enum ${name} \\{\\n(.*?)\\n\\}`, 's').exec(readFileSync(path, 'utf8')) ?? [];
  return [...body.matchAll(/^ {4}([A-Z]\w*)/gm)].map(([, word]) => word![0]!.toLowerCase() + word!.slice(1));
}

test('whatever happens has a text, and so has whatever is changed of a job', () => {
  const happens = wordsOf('../crates/rollout/src/event.rs', 'EventKind');
  expect(happens).toContain('waveOpened');
  for (const code of happens) expect(en).toHaveProperty([`event.${code}`]);
  const fields = wordsOf('../crates/rollout/src/revise.rs', 'JobField');
  expect(fields).toContain('endAt');
  const text = { t: (key: TextKey) => en[key], code: (kind: string, code: string) => en[`${kind}.${code}` as TextKey] ?? code } as Text;
  for (const field of fields) expect(fieldText(text, field)).not.toBe(field);
});

test('whatever is counted has a meaning in Chinese', () => {
  const page = readFileSync('../docs/metrics.md', 'utf8');
  const families = [...page.matchAll(/^\| `(otaru_\w+_total)` \|/gm)].map(([, name]) => name!);
  const sections = page.split('\n## ').slice(1);
  const labelled = sections.flatMap((section) => {
    const name = /^`(\w+)`/.exec(section)![1]!;
    return [...section.matchAll(/^\| `(\w+)` \| [^|]/gm)].map(([, value]) => `${name}.${value}`);
  });
  expect(labelled).toContain('otaru_refusals_total.bad_password');
  const kinds = ['busy', 'unavailable', 'full', 'refused'].map((kind) => `otaru_database_errors_total.${kind}`);
  expect(Object.keys(counted).sort()).toEqual([...families, ...labelled, ...kinds].sort());
});
