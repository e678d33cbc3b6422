import 'antd/dist/reset.css';
import './style.css';

import { QueryClientProvider } from '@tanstack/react-query';
import { App as Messages, ConfigProvider, theme } from 'antd';
import enUS from 'antd/locale/en_US';
import zhCN from 'antd/locale/zh_CN';
import { StrictMode, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { BrowserRouter } from 'react-router';

import { followEvents } from './api/live';
import { isMissing } from './api/missing';
import { queries } from './api/queries';
import { watchReachable } from './api/recover';
import { App } from './app';
import { useDark } from './parts/theme';
import { useText } from './texts';

// The usual colours are too pale for text on some of their grounds.
const LIGHT = {
  colorPrimary: '#0958d9',
  colorInfo: '#0958d9',
  colorLink: '#0958d9',
  colorError: '#cf1322',
  colorTextTertiary: 'rgba(0,0,0,0.65)',
  colorTextDescription: 'rgba(0,0,0,0.65)',
  colorTextPlaceholder: 'rgba(0,0,0,0.6)',
};
const DARK = {
  colorLink: '#69b1ff',
  colorError: '#ff7875',
  colorTextTertiary: 'rgba(255,255,255,0.68)',
  colorTextDescription: 'rgba(255,255,255,0.68)',
  colorTextPlaceholder: 'rgba(255,255,255,0.6)',
};

function Root() {
  const dark = useDark();
  const { language } = useText();
  useEffect(() => {
    document.documentElement.lang = language;
    document.documentElement.style.colorScheme = dark ? 'dark' : 'light';
  }, [language, dark]);
  return (
    <ConfigProvider
      locale={language === 'zh-CN' ? zhCN : enUS}
      theme={{
        algorithm: dark ? theme.darkAlgorithm : theme.defaultAlgorithm,
        token: dark ? DARK : LIGHT,
        components: dark ? { Menu: { itemSelectedColor: '#91caff' } } : {},
      }}
    >
      <Messages>
        <App />
      </Messages>
    </ConfigProvider>
  );
}

followEvents(queries);
watchReachable(queries);
const options = {
  // That a part of the page is missing is shown where it would be.
  onCaughtError: (error: unknown) => {
    if (!isMissing(error)) console.error(error);
  },
};
createRoot(document.getElementById('root')!, options).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <BrowserRouter>
        <Root />
      </BrowserRouter>
    </QueryClientProvider>
  </StrictMode>,
);
