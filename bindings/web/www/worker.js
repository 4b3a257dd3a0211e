// Runs the long tasks, so that the page stays responsive. Ending the worker cancels a task.
import init, { Benchmark, benchmarkShapes, validate } from './pkg/ctc_wgpu_web.js';

const tasks = {
    validate: ({ full }) => validate(!full, (row, done, total) => postMessage({ row, done, total })),
    benchmark: ({ gpu }) => benchmark(gpu),
};

/** The minimum time of a measurement. The clock of a browser may be as coarse as 0.1 ms. */
const MEASUREMENT_MS = 40;
const MEASUREMENTS = 5;

/**
 * Returns the median time of a run in ms. The first measurements warm up and determine the number
 * of runs per measurement.
 */
async function time(bench) {
    const measure = async runs => {
        const start = performance.now();
        await bench.run(runs);
        return performance.now() - start;
    };
    let runs = 1;
    let elapsed = await measure(runs);
    while (elapsed < MEASUREMENT_MS && runs < 4096) {
        runs *= 2;
        elapsed = await measure(runs);
    }
    const times = [];
    for (let index = 0; index < MEASUREMENTS; index++) times.push(await measure(runs) / runs);
    times.sort((a, b) => a - b);
    return times[MEASUREMENTS >> 1];
}

async function benchmark(gpu) {
    const shapes = benchmarkShapes();
    const subjects = { cpu: await Benchmark.open(false) };
    if (gpu) subjects.gpu = await Benchmark.open(true);
    for (const [index, shape] of shapes.entries()) {
        const ms = {};
        for (const [name, bench] of Object.entries(subjects)) {
            await bench.prepare(shape);
            ms[name] = await time(bench);
        }
        postMessage({ shape: [...shape], ms, done: index + 1, total: shapes.length });
    }
    return true;
}

onmessage = async ({ data }) => {
    try {
        await init();
        postMessage({ result: await tasks[data.task](data) });
    } catch (error) {
        postMessage({ error: error.message ?? String(error) });
    }
};
