import { diffLines } from 'diff';

import { useText } from '../texts';

/** How a text became another one, line by line. */
export default function Difference({ label, from, to }: { label: string; from: string; to: string }) {
  const { t } = useText();
  const parts = diffLines(from, to);
  if (parts.every(({ added, removed }) => !added && !removed)) return <p className="plain">{t('difference.none')}</p>;
  return (
    <pre className="code difference" aria-label={label} tabIndex={0}>
      {parts.map(({ value, added, removed }, at) => (
        <span key={at} className={added ? 'added' : removed ? 'removed' : undefined}>
          {marked(value, added ? '+ ' : removed ? '- ' : '  ')}
        </span>
      ))}
    </pre>
  );
}

const marked = (lines: string, mark: string) =>
  lines
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => `${mark}${line}\n`)
    .join('');
