// Serves dist/ and opens the page in headless Chromium.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const CHROMIUM = '/usr/bin/chromium';
const TYPES = {
    '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm',
};

/** Starts a server for dist/. Returns its address and a function that stops it. */
export async function serve() {
    const server = http.createServer((request, response) => {
        const { pathname } = new URL(request.url, 'http://x');
        const name = path.join(DIST, path.normalize(decodeURIComponent(pathname)));
        const file = name.endsWith('/') ? `${name}index.html` : name;
        if (!file.startsWith(DIST) || !fs.existsSync(file)) {
            response.writeHead(404).end();
            return;
        }
        const type = TYPES[path.extname(file)] ?? 'application/octet-stream';
        response.writeHead(200, { 'content-type': type });
        fs.createReadStream(file).pipe(response);
    });
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    return { address: `http://localhost:${server.address().port}/`, stop: () => server.close() };
}

/** Starts Chromium, with WebGPU on SwiftShader or without WebGPU. */
export function launch({ gpu = true } = {}) {
    if (!fs.existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: apt-get install chromium`);
    const args = ['--no-first-run', '--disable-background-networking', '--disable-component-update'];
    // Headless Chromium on Linux has WebGPU only with the first flag.
    if (gpu) args.push('--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader');
    // The sandbox cannot be used by root.
    if (process.getuid() === 0) args.push('--no-sandbox');
    return chromium.launch({ executablePath: CHROMIUM, headless: true, args });
}

/**
 * Opens the page. `script` runs in it before its own scripts. Returns the page, its console
 * messages and a function that closes it.
 */
export async function open(browser, address, options = {}, script = () => {}) {
    const context = await browser.newContext({ acceptDownloads: true, ...options });
    const page = await context.newPage();
    await page.addInitScript(script);
    const consoleMessages = [];
    page.on('console', message => {
        if (['error', 'warning'].includes(message.type())) consoleMessages.push(message.text());
    });
    page.on('pageerror', error => consoleMessages.push(error.message));
    await page.goto(address);
    // The demonstration shows its loss when everything is loaded.
    const loaded = () => document.getElementById('loss').textContent !== '–';
    await page.waitForFunction(loaded, null, { timeout: 60_000 });
    return { page, consoleMessages, close: () => context.close() };
}

/** Returns the path for a screenshot of the page. */
export function picture(name) {
    const defaultTarget = fileURLToPath(new URL('../../../target', import.meta.url));
    const target = process.env.CARGO_TARGET_DIR ?? defaultTarget;
    const folder = path.join(target, 'web-pictures');
    fs.mkdirSync(folder, { recursive: true });
    return path.join(folder, name);
}
