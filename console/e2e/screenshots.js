// Makes a picture of every page: console/screenshots/NAME-LOOK.png.
import { mkdirSync } from 'node:fs';

import { Browser, Platform } from './harness.js';
import { furnish, open } from './pages.js';

const LOOKS = {
  light: { viewport: { width: 1280, height: 800 } },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark', locale: 'zh-CN' },
  phone: { viewport: { width: 390, height: 844 }, locale: 'zh-CN' },
};

mkdirSync('screenshots', { recursive: true });
const platform = await Platform.start();
const browser = await Browser.start(platform.url);
try {
  const { paths, end } = await furnish(platform);
  for (const [look, options] of Object.entries(LOOKS)) {
    const page = await browser.page(platform.token, options);
    for (const [name, path] of Object.entries(paths)) {
      await open(page, path);
      // A chart is drawn once its room is measured.
      await page.waitForTimeout(300);
      await page.screenshot({ path: `screenshots/${name}-${look}.png`, fullPage: true });
    }
  }
  await end();
} finally {
  await browser.stop();
  await platform.stop();
}
