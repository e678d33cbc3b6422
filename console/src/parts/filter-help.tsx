import { useText } from '../texts';

/** What can be written in a filter. */
export function FilterHelp() {
  const { t } = useText();
  return <span className="hint">{t('filter.detail')}</span>;
}
