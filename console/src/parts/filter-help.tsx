import { Collapse } from 'antd';

import { useText } from '../texts';

const EXAMPLES = [
  ['tag.region = eu and module.default != 2.0.0', 'filterHelp.example'],
  ['name like lamp-00*', 'filterHelp.name'],
  ['name in (lamp-0001, lamp-0002)', 'filterHelp.in'],
  ['status = offline', 'filterHelp.status'],
  ['enabled = false', 'filterHelp.enabled'],
  ['lastSeen < now-7d', 'filterHelp.lastSeen'],
  ['created >= 2026-11-01T00:00:00Z', 'filterHelp.created'],
  ['has tag.ring', 'filterHelp.tag'],
  ['module.MCU in ("1.0", "1.1")', 'filterHelp.module'],
  ['group = north', 'filterHelp.group'],
  ['has tag.ring and not (tag.ring = beta or group = north)', 'filterHelp.words'],
  ['tag.city = "New York"', 'filterHelp.quoted'],
] as const;

/** What can be written in a filter, by examples. */
export function FilterHelp() {
  const { t } = useText();
  return (
    <Collapse
      ghost
      size="small"
      items={[
        {
          key: 'help',
          label: t('filterHelp'),
          children: (
            <dl className="filter-help">
              {EXAMPLES.map(([filter, meaning]) => (
                <div key={filter}>
                  <dt className="code">{filter}</dt>
                  <dd>{t(meaning)}</dd>
                </div>
              ))}
            </dl>
          ),
        },
      ]}
    />
  );
}
