import { Button, Card, Descriptions, Segmented } from 'antd';
import { useSyncExternalStore } from 'react';

import { signOut } from '../api/session';
import { useStatus } from '../api/status';
import { Copy } from '../parts/bits';
import { LanguageChoice } from '../parts/choices';
import { Loaded } from '../parts/loaded';
import { Page } from '../parts/page';
import { chooseTheme, type Theme, theme } from '../parts/theme';
import { useText } from '../texts';

export default function Settings() {
  const { t } = useText();
  const chosen = useSyncExternalStore(theme.subscribe, theme.get);
  const status = useStatus();
  return (
    <Page title={t('settings')}>
      <Card title={t('thisBrowser')}>
        <Descriptions
          column={1}
          items={[
            { key: 'language', label: t('language'), children: <LanguageChoice /> },
            {
              key: 'theme',
              label: t('theme'),
              children: (
                <Segmented<Theme>
                  aria-label={t('theme')}
                  value={chosen}
                  onChange={chooseTheme}
                  options={(['system', 'light', 'dark'] as const).map((value) => ({ value, label: t(`theme.${value}`) }))}
                />
              ),
            },
            { key: 'token', label: t('token'), children: <Button onClick={signOut}>{t('signOut')}</Button> },
          ]}
        />
      </Card>
      <Card title={t('platform')}>
        <Loaded query={status}>
          {({ version, deviceAddresses }) => (
            <Descriptions
              column={1}
              items={[
                { key: 'version', label: t('version'), children: version },
                {
                  key: 'doors',
                  label: t('deviceAddresses'),
                  children: deviceAddresses.map((address) => <Copy key={address} name={t('deviceAddresses')} value={address} />),
                },
              ]}
            />
          )}
        </Loaded>
        <p>{t('platform.detail')}</p>
      </Card>
    </Page>
  );
}
