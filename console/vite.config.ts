import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

// The folder `dist` itself is watched by Cargo and must not vanish, so the build has its own inside.
const OUT = 'dist/web';

/** Packs every file once, so that the platform need not. */
const packed: Plugin = {
  name: 'packed',
  apply: 'build',
  closeBundle() {
    for (const entry of readdirSync(OUT, { recursive: true, withFileTypes: true })) {
      const file = join(entry.parentPath, entry.name);
      if (entry.isFile()) writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
    }
  },
};

export default defineConfig({
  plugins: [react(), packed],
  // The look of the page rests on `light-dark()`.
  build: { outDir: OUT, target: ['chrome123', 'firefox120', 'safari17.5'], assetsInlineLimit: 0, chunkSizeWarningLimit: 1_000 },
  worker: { format: 'es' },
  test: { include: ['src/**/*.test.ts'] },
  // The platform looks at who asks, so it must see the address that the browser sees.
  server: { proxy: { '^/(api|readyz)': { target: process.env.OTARU_URL ?? 'http://127.0.0.1:8080', changeOrigin: false } } },
});
