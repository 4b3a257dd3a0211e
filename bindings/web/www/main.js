// Starts the three parts of the page, and says what this browser can do.
import init from './pkg/ctc_wgpu_web.js';
import { startBenchmark } from './benchmark.js';
import { startDemonstration } from './demo.js';
import { byId, fill, tell } from './dom.js';
import { startValidation } from './validate.js';

/** What the page shows and the report says of the adapter; null where there is none. */
async function findAdapter() {
    if (!navigator.gpu) {
        const insecure = 'This page was not opened over https: or from localhost, and browsers hide WebGPU then.';
        throw new Error(isSecureContext ? 'This browser has no navigator.gpu.' : insecure);
    }
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter) throw new Error('This browser knows WebGPU, but gives no adapter: the GPU or its driver is not allowed.');
    const { info, limits, features } = adapter;
    const named = {};
    for (const name of ['vendor', 'architecture', 'device', 'description', 'isFallbackAdapter', 'subgroupMinSize', 'subgroupMaxSize']) {
        if (info[name] !== undefined && info[name] !== '') named[name] = info[name];
    }
    const bounds = {};
    for (const name in Object.getPrototypeOf(limits)) {
        if (typeof limits[name] === 'number') bounds[name] = limits[name];
    }
    return { info: named, limits: bounds, features: [...features].sort() };
}

function showAdapter({ info, limits, features }) {
    const name = [info.description, info.vendor, info.architecture].filter(Boolean).join(', ') || 'a GPU without a name';
    const software = info.isFallbackAdapter ? ' (software: no GPU is used)' : '';
    tell('gpu', `WebGPU on ${name}${software}`);
    const rows = [...Object.entries(info), ...Object.entries(limits), ['features', features.join(', ')]];
    fill('adapter-table', rows.map(([key, value]) => [key, String(value)]));
}

let adapter = null;
try {
    adapter = await findAdapter();
    showAdapter(adapter);
} catch (error) {
    tell('gpu', 'WebGPU is missing.');
    tell('no-webgpu-reason', error.message);
    byId('no-webgpu').hidden = false;
}
try {
    await init();
    await startDemonstration();
    startValidation(adapter);
    startBenchmark(adapter);
} catch (error) {
    tell('demo-error', `The page could not start: ${error.message}`);
}
