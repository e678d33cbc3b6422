import { Segmented } from 'antd';

import { choose, type Language, useText } from '../texts';

/** Languages are named in themselves. */
export function LanguageChoice() {
  const { language, t } = useText();
  return (
    <Segmented<Language>
      aria-label={t('language')}
      value={language}
      onChange={choose}
      options={[
        { value: 'zh-CN', label: '中文' },
        { value: 'en', label: 'English' },
      ]}
    />
  );
}
