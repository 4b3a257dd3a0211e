// The page in headless Chromium, served from dist/.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const CHROMIUM = '/usr/bin/chromium';
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm' };

/** The address of a server for dist/, and what stops it. */
export async function serve() {
    const server = http.createServer((request, response) => {
        const name = path.join(DIST, path.normalize(decodeURIComponent(new URL(request.url, 'http://x').pathname)));
        const file = name.endsWith('/') ? `${name}index.html` : name;
        if (!file.startsWith(DIST) || !fs.existsSync(file)) {
            response.writeHead(404).end();
            return;
        }
        response.writeHead(200, { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream' });
        fs.createReadStream(file).pipe(response);
    });
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    return { address: `http://localhost:${server.address().port}/`, stop: () => server.close() };
}

/** Chromium, with WebGPU on SwiftShader or without it. */
export function launch({ gpu = true } = {}) {
    if (!fs.existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: apt-get install chromium`);
    const args = ['--no-first-run', '--disable-background-networking', '--disable-component-update'];
    // On Linux headless Chromium has no WebGPU without the first.
    if (gpu) args.push('--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader');
    // The sandbox does not start as root.
    if (process.getuid() === 0) args.push('--no-sandbox');
    return chromium.launch({ executablePath: CHROMIUM, headless: true, args });
}

/** The page, and all that it complained of; `script` runs in it before its own. */
export async function open(browser, address, options = {}, script = () => {}) {
    const context = await browser.newContext({ acceptDownloads: true, ...options });
    const page = await context.newPage();
    await page.addInitScript(script);
    const complaints = [];
    page.on('console', message => {
        if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', error => complaints.push(error.message));
    await page.goto(address);
    // The demonstration has read its line: everything is loaded.
    await page.waitForFunction(() => document.getElementById('loss').textContent !== '–', null, { timeout: 60_000 });
    return { page, complaints, close: () => context.close() };
}

/** Where pictures of the page go. */
export function picture(name) {
    const folder = path.join(process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL('../../../target', import.meta.url)), 'web-pictures');
    fs.mkdirSync(folder, { recursive: true });
    return path.join(folder, name);
}
