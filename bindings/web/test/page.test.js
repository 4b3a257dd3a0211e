// End-to-end tests of the page in a browser.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import test from 'node:test';
import { launch, open, picture, serve } from './browser.js';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const server = await serve();
const browser = await launch();
test.after(async () => {
    await browser.close();
    server.stop();
});

const text = (page, id) => page.locator(`#${id}`).textContent();
const cellsOf = all => all.map(row => [...row.cells].map(cell => cell.textContent));
const rows = (page, id) => page.locator(`#${id} tbody tr`).evaluateAll(cellsOf);

/** Asserts that axe finds no serious or critical accessibility violation. */
async function assertAccessible(page, name) {
    await page.addScriptTag({ path: axe });
    const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
    assert.ok(passes.length > 10, 'axe has checked the page');
    const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
    const htmlOf = nodes => nodes.map(node => node.html).join(' ');
    const descriptions = serious.map(({ id, nodes }) => `${id}: ${htmlOf(nodes)}`);
    assert.deepEqual(descriptions, [], name);
}

/** Returns the cumulative layout shift: how far elements moved without input from the user. */
const layoutShift = page => page.evaluate(() => new Promise(resolve => {
    let sum = 0;
    const add = list => list.getEntries().forEach(entry => { sum += entry.value; });
    new PerformanceObserver(add).observe({ type: 'layout-shift', buffered: true });
    setTimeout(() => resolve(sum), 100);
}));

/** Clicks a button and returns the text of the downloaded file. */
async function download(page, button) {
    const [file] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
    return fs.readFileSync(await file.path(), 'utf8');
}

test('the page validates the GPU and saves the report', async () => {
    const { page, consoleMessages, close } = await open(browser, server.address);
    assert.match(await text(page, 'gpu'), /^WebGPU on .*software/);
    assert.ok(await page.locator('#save-json').isDisabled());
    await page.click('#validate');
    assert.ok(await page.locator('#validate').isDisabled());
    await page.locator('#validate:enabled').waitFor({ timeout: 900_000 });
    assert.match(await text(page, 'validate-status'), /^All \d+ cases pass\.$/);
    assert.equal(await page.locator('#validate-progress').evaluate(bar => bar.value), 1);
    const table = await rows(page, 'validate-table');
    for (const row of table) {
        assert.ok(row[2] !== '0' && row.at(-1) === 'pass', row.join(', '));
    }

    const report = JSON.parse(await download(page, '#save-json'));
    assert.equal(report.passed, true);
    assert.equal(report.rows.length, table.length);
    assert.ok(report.rows.some(row => row.worstGrad > 0), 'errors were measured');
    assert.equal(report.adapter.limits.maxStorageBuffersPerShaderStage >= 8, true);
    assert.match(report.userAgent, /Chrome/);
    const markdown = await download(page, '#save-markdown');
    assert.match(markdown, /^# ctc-wgpu .*: all cases pass\n/);
    const resultLines = markdown.split('\n').filter(line => /\| pass \|$/.test(line));
    assert.equal(resultLines.length, table.length);
    await page.screenshot({ path: picture('light.png'), fullPage: true });
    assert.deepEqual(consoleMessages, []);
    await close();
});

test('a validation can be cancelled and restarted', async () => {
    const { page, consoleMessages, close } = await open(browser, server.address);
    page.setDefaultTimeout(120_000);
    await page.click('#validate');
    await page.locator('#validate-table tbody tr').first().waitFor();
    await page.click('#validate-cancel');
    assert.equal(await text(page, 'validate-status'), 'Stopped: cancelled');
    assert.ok(await page.locator('#save-json').isDisabled(), 'an incomplete report cannot be saved');
    await page.click('#validate');
    await page.locator('#validate-table tbody tr').first().waitFor();
    await page.click('#validate-cancel');
    assert.deepEqual(consoleMessages, []);
    await close();
});

test('the benchmark times every shape on the GPU and on the CPU', async () => {
    const { page, consoleMessages, close } = await open(browser, server.address);
    await page.click('#bench');
    await page.locator('#bench:enabled').waitFor({ timeout: 240_000 });
    assert.equal(await text(page, 'bench-status'), 'Done.');
    const table = await rows(page, 'bench-table');
    assert.equal(table.length, 6);
    for (const row of table) {
        for (const figure of row.slice(1)) assert.ok(Number(figure) > 0, row.join(' | '));
    }
    assert.deepEqual(consoleMessages, []);
    await close();
});

test('the demonstration decodes its text, and the loss follows the label', async () => {
    const { page, consoleMessages, close } = await open(browser, server.address);
    assert.equal(await text(page, 'decoded'), 'CAFE42');
    const loss = Number(await text(page, 'loss'));
    assert.ok(loss < 1, `loss ${loss}`);
    assert.match(await text(page, 'charts-text'), /C \d.*A \d.*F \d.*E \d.*4 \d.*2 \d/);
    const isNot = before => document.getElementById('loss').textContent !== before;
    const changes = async () => page.waitForFunction(isNot, await text(page, 'loss'));

    let changed = changes();
    await page.fill('#label', 'CAKE42');
    await changed;
    assert.ok(Number(await text(page, 'loss')) > loss + 1);
    assert.equal(await text(page, 'decoded'), 'CAFE42', 'independent of the label');

    changed = changes();
    await page.fill('#label', 'C'.repeat(40));
    await changed;
    assert.equal(await text(page, 'loss'), '∞');
    assert.match(await text(page, 'charts-text'), /^No alignment/);

    await page.fill('#label', 'cafe?');
    const hasError = () => document.getElementById('demo-error').textContent.includes('“?” is not');
    await page.waitForFunction(hasError);

    changed = changes();
    await page.fill('#label', 'BAD');
    await changed;
    await page.fill('#text', 'BAD');
    await page.waitForFunction(() => document.getElementById('decoded').textContent === 'BAD');
    assert.equal(await text(page, 'demo-error'), '');
    assert.deepEqual(consoleMessages, []);
    await close();
});

test('every control can be reached with the keyboard', async () => {
    const { page, close } = await open(browser, server.address);
    const focused = [];
    for (let count = 0; count < 12; count++) {
        await page.keyboard.press('Tab');
        focused.push(await page.evaluate(() => document.activeElement.id));
    }
    for (const id of ['text', 'label', 'face', 'spacing', 'noise', 'validate', 'bench']) {
        assert.ok(focused.includes(id), `${id} in ${focused}`);
    }
    await close();
});

for (const [name, options] of [
    ['light', {}],
    ['dark', { colorScheme: 'dark' }],
    ['phone', { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 }],
]) {
    test(`${name}: nothing overflows or moves, and the page is accessible`, async () => {
        const { page, consoleMessages, close } = await open(browser, server.address, options);
        const overflow = await page.evaluate(() => {
            const { scrollWidth, clientWidth } = document.documentElement;
            return scrollWidth - clientWidth;
        });
        assert.equal(overflow, 0, 'no horizontal scroll');
        const before = await page.locator('#bench').boundingBox();
        await page.fill('#label', 'C'.repeat(40));
        await page.fill('#label', '?');
        await page.waitForFunction(() => document.getElementById('demo-error').textContent !== '');
        const after = await page.locator('#bench').boundingBox();
        assert.deepEqual(after, before, 'a message does not move the page');
        await page.fill('#label', 'CAFE42');
        await page.waitForFunction(() => document.getElementById('demo-error').textContent === '');
        assert.ok(await layoutShift(page) < 0.01, 'nothing moved while the page was loading');
        await assertAccessible(page, name);
        if (name !== 'light') await page.screenshot({ path: picture(`${name}.png`), fullPage: true });
        assert.deepEqual(consoleMessages, []);
        await close();
    });
}

for (const [name, script] of [
    ['no adapter', () => {}],
    ['no navigator.gpu', () => Object.defineProperty(Navigator.prototype, 'gpu', { value: undefined })],
]) {
    test(`${name}: the page reports it, and the demonstration runs on the CPU`, async () => {
        const plain = await launch({ gpu: false });
        const { page, consoleMessages, close } = await open(plain, server.address, {}, script);
        assert.ok(await page.locator('#no-webgpu').isVisible());
        assert.match(await text(page, 'no-webgpu'), /Chrome.*Safari.*Firefox/s);
        assert.ok(await page.locator('#validate').isDisabled());
        assert.equal(await text(page, 'decoded'), 'CAFE42');
        await assertAccessible(page, name);
        await page.screenshot({ path: picture('no-webgpu.png'), fullPage: true });
        // Chromium prints this message for each request for an adapter.
        const unexpected = consoleMessages.filter(message => message !== 'No available adapters.');
        assert.deepEqual(unexpected, []);
        await close();
        await plain.close();
    });
}
