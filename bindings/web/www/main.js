// Shows the adapter of the browser, and starts the three sections of the page.
import init from './pkg/ctc_wgpu_web.js';
import { startBenchmark } from './benchmark.js';
import { startDemonstration } from './demo.js';
import { byId, replaceRows, setText } from './dom.js';
import { startValidation } from './validate.js';

const INFO = [
    'vendor', 'architecture', 'device', 'description', 'isFallbackAdapter', 'subgroupMinSize',
    'subgroupMaxSize',
];

/**
 * Returns the properties of the adapter for the page and the report. Throws if WebGPU is not
 * available.
 */
async function findAdapter() {
    if (!navigator.gpu) {
        throw new Error(isSecureContext
            ? 'This browser does not support WebGPU (navigator.gpu is missing).'
            : 'Browsers provide WebGPU only to pages from https: or localhost.');
    }
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter) {
        throw new Error('This browser supports WebGPU but found no usable adapter: '
            + 'it may block the GPU or its driver.');
    }
    const { info, limits, features } = adapter;
    const properties = {};
    for (const name of INFO) {
        if (info[name] !== undefined && info[name] !== '') properties[name] = info[name];
    }
    const numbers = {};
    for (const name in Object.getPrototypeOf(limits)) {
        if (typeof limits[name] === 'number') numbers[name] = limits[name];
    }
    return { info: properties, limits: numbers, features: [...features].sort() };
}

function showAdapter({ info, limits, features }) {
    const parts = [info.description, info.vendor, info.architecture].filter(Boolean);
    const name = parts.join(', ') || 'an unnamed GPU';
    const software = info.isFallbackAdapter ? ' (software adapter)' : '';
    setText('gpu', `WebGPU on ${name}${software}`);
    const properties = [...Object.entries(info), ...Object.entries(limits)];
    const rows = [...properties, ['features', features.join(', ')]];
    replaceRows('adapter-table', rows.map(([key, value]) => [key, String(value)]));
}

let adapter = null;
try {
    adapter = await findAdapter();
    showAdapter(adapter);
} catch (error) {
    setText('gpu', 'WebGPU is not available.');
    setText('no-webgpu-reason', error.message);
    byId('no-webgpu').hidden = false;
}
try {
    await init();
    await startDemonstration();
    startValidation(adapter);
    startBenchmark(adapter);
} catch (error) {
    setText('demo-error', `The page could not start: ${error.message}`);
}
