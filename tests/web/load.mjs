// node load.mjs FILE.glb OUTDIR [MORPH]: load the file with three.js in a headless Chromium, move one morph, measure.
// Writes OUTDIR/neutral.png and OUTDIR/MORPH.png; prints one JSON object. CHROMIUM names the browser.
import { createServer } from 'node:http';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';

const [model, out, morph = 'jawOpen'] = process.argv.slice(2);
const here = path.dirname(fileURLToPath(import.meta.url));
const kinds = { '.html': 'text/html', '.js': 'text/javascript', '.glb': 'model/gltf-binary' };

function fileOf(url) {
  if (url === '/') return path.join(here, 'viewer.html');
  if (url === '/model.glb') return model;
  const file = path.normalize(path.join(here, 'node_modules', url));
  return file.startsWith(path.join(here, 'node_modules', 'three') + path.sep) ? file : null;
}

const server = createServer(async (request, response) => {
  const file = fileOf(request.url.split('?')[0]);
  try {
    const content = await readFile(file);
    response.writeHead(200, { 'content-type': kinds[path.extname(file)] ?? 'application/octet-stream' });
    response.end(content);
  } catch {
    response.writeHead(404);
    response.end();
  }
});
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });

const profile = await mkdtemp(path.join(os.tmpdir(), 'glb-check-'));
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  userDataDir: profile,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
    '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage',
    '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader',
  ],
});
try {
  const page = await browser.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('404')) problems.push(message.text());
  });
  await page.setViewport({ width: 512, height: 512 });
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction('window.ready === true', { timeout: 60000 }).catch((error) => {
    throw new Error(`${error.message}; the page says: ${problems.join('; ')}`);
  });
  await mkdir(out, { recursive: true });
  await writeFile(path.join(out, 'neutral.png'), await page.screenshot());
  const measured = await page.evaluate((name) => window.measure(name), morph);
  await writeFile(path.join(out, `${morph}.png`), await page.screenshot());
  const facts = await page.evaluate('window.facts');
  console.log(JSON.stringify({ ...facts, ...measured, problems }));
} finally {
  await browser.close();
  server.close();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}
